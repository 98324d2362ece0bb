"""``/loomworks/volume``: whether there is room for files, for pages that are open for long."""

from odoo import http

from ..models.ir_http import volume_state


class Volume(http.Controller):
    """Asked once a minute by a page that somebody sees, and after a refusal; a look at the file system, no more."""

    @http.route("/loomworks/volume", type="jsonrpc", auth="user", readonly=True, save_session=False)
    def state(self):
        """Return ``fine``, ``nearly`` or ``full``."""
        return volume_state()
