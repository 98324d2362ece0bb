"""The embedded stack: everything Loomworks needs, built and run on one machine.

Each module owns one concern and offers plain functions that take :class:`~stack.settings.Settings`.
Nothing here imports odoo, and only the standard library is needed until the Python
environment has been built.
"""
