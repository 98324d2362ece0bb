from odoo import sql_db, tools

from . import controllers, models, private_channels

# The addon is also loaded server-wide, before there is a registry: crons and the bus listen from the start.
private_channels.activate(sql_db, tools.config)
