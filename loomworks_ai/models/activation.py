"""Once in a process: Odoo's cursors and remote procedure calls tell the operation under way."""

from . import requests

requests.activate()
