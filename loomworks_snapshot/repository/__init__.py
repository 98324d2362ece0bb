"""What is in a pgBackRest repository, read from the repository itself. Never imports odoo.

The formats are those of pgBackRest 2.55 (backrest-format 5): https://pgbackrest.org and its source, src/info.
"""
