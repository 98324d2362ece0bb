"""Each request of an agent is an operation."""

from odoo import models
from odoo.http import request

from . import requests


class IrHttp(models.AbstractModel):
    """Requests, those of agents recorded."""

    _inherit = "ir.http"

    @classmethod
    def _pre_dispatch(cls, rule, args):
        requests.begin(request, args)
        return super()._pre_dispatch(rule, args)

    @classmethod
    def _post_dispatch(cls, response):
        result = super()._post_dispatch(response)
        requests.answered(request)
        return result

    @classmethod
    def _handle_error(cls, exception):
        requests.failed(request, exception)
        return super()._handle_error(exception)
