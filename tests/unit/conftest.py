"""Engines are tested without Odoo (:mod:`harness.engines`): one that imported it would fail here."""

from harness import engines

engines.register()
