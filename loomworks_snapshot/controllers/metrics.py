"""``/loomworks/metrics``: what Prometheus reads, for whoever knows the token."""

from odoo import http
from odoo.addons.loomworks_tenant import secret_reference
from odoo.addons.loomworks_tenant.errors import SecretUnavailable
from odoo.http import request
from odoo.tools import consteq
from werkzeug.exceptions import NotFound, Unauthorized

from ..backup import metrics

TOKEN_PARAMETER = "loomworks.metrics_token_reference"


class Metrics(http.Controller):
    """The figures of this control plane; there is no such page until a token is named."""

    @http.route("/loomworks/metrics", type="http", auth="public", methods=["GET"], readonly=True, save_session=False)
    def read(self):
        """Return all figures.

        :raises NotFound: while the system parameter names no token that can be read
        :raises Unauthorized: without the token
        """
        env = request.env(su=True)
        reference = env["ir.config_parameter"].get_param(TOKEN_PARAMETER)
        try:
            token = secret_reference.read(reference or "")
        except SecretUnavailable as error:
            raise NotFound from error
        if not consteq(request.httprequest.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            raise Unauthorized
        found = env["loomworks.database.server"]._metrics()
        return request.make_response(metrics.render(found), [("Content-Type", metrics.CONTENT_TYPE)])
