"""A restore to a moment that is still to be proven: it begins as soon as its snapshot is."""

from odoo import models

from ..restoring import flow
from .restore_work import ARCHIVE_LOOK


class Restore(models.Model):
    """A restore that waits for its snapshot first."""

    _inherit = "loomworks.restore"

    def _step_waiting(self):
        snapshot = self.snapshot_id
        if snapshot.state == "creating":
            self.error_message = snapshot.error_message
            return self._pause(ARCHIVE_LOOK)
        if snapshot.state in ("failed", "expired") and not snapshot.damage:  # what a restore found, another may refute
            why = snapshot.verify_message or self.env._("it was deleted")
            raise flow.RestoreFailed(
                f"the snapshot “{snapshot.name}” cannot be restored: {why}", code=snapshot.error_code or "not_proven"
            )
        if snapshot.state == "ready":
            self._take_up(snapshot)
        return super()._step_waiting()

    def _take_up(self, snapshot):
        """The moment is proven by now: restore along the way of the proof."""
        self.write(
            {
                "target_timeline": snapshot.recovery_timeline or snapshot.timeline,
                "system_identifier": snapshot.system_identifier,
                "error_message": False,
            }
        )
        snapshot.state = "restoring"
