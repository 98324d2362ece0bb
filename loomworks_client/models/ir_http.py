"""What the pages are told of the volume."""

from odoo import models
from odoo.tools import config

from .. import volume


class IrHttp(models.AbstractModel):
    """Pages that say when the storage is full."""

    _inherit = "ir.http"

    def session_info(self):
        """Tell internal users' pages, too, whether there is room for files."""
        found = super().session_info()
        if self.env.user._is_internal():
            found["loomworks_volume"] = volume_state()
        return found


def volume_state():
    """Return ``fine``, ``nearly`` or ``full``."""
    return volume.room(config["data_dir"]).state
