from odoo import http, sql_db, tools
from odoo.addons.base.models.ir_cron import IrCron
from odoo.service import common, model

from . import carried_calls, carried_sessions, controllers, full_sessions, models, private_channels, waiting_crons

# The addon is also loaded server-wide, before there is a registry: crons and the bus listen from the start.
private_channels.activate(sql_db, tools.config)
carried_sessions.activate(http, tools.config)
full_sessions.activate(http)
carried_calls.activate(http, model, common, tools.config)
waiting_crons.activate(IrCron)
