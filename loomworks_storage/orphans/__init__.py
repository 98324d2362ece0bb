"""What is out there and no row names, and what rows name and is not there. Plain Python; never imports odoo.

``recognise`` says what is ours at all, ``listing`` sees what is there, ``compare`` tells orphans from the rest, and
``removal`` takes one away, after a last look.
"""
