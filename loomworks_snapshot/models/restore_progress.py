"""How far a restore is, stage by stage."""

from odoo import models

from .restore import RUNNING, STAGES
from .tenant_past import text

HIDDEN = ("wipe", "restored")  # stages that a reader need not see


class Restore(models.Model):
    """A restore that says how far it is, stage by stage."""

    _inherit = "loomworks.restore"

    def _told_progress(self):
        """Return state, stages and what may be done next, for the page."""
        self.ensure_one()
        states = dict(self._fields["state"]._description_selection(self.env))
        return {
            "id": self.id,
            "state": self.state,
            "state_text": states[self.state],
            "running": self.state in RUNNING,
            "moment": text(self.moment),
            "snapshot": self.snapshot_id.name or False,
            "started_at": text(self.started_at),
            "placed_at": text(self.placed_at),
            "finished_at": text(self.finished_at),
            "kept_until": text(self.kept_until),
            "progress": self.progress,
            "seconds": self.total_seconds,
            "error": self.error_message,
            "can_go_back": self.can_go_back and self.tenant_id._may_restore(),
            "can_cancel": self.state in ("waiting", "restoring") and self.tenant_id._may_restore(),
            "can_retry": self.state == "failed" and self.tenant_id._may_restore(),
            "stages": self._told_stages(),
        }

    def _told_stages(self):
        titles = {
            "waiting": self.env._("Waiting for the archive"),
            **{code: title for code, (title, _share) in STAGES.items() if code not in HIDDEN},
            "placing": self.env._("Putting in place"),
        }
        codes = list(titles)
        seconds = (self.report or {}).get("seconds", {})
        at = self._stage_now()
        reached = codes.index(at) if at in codes else len(codes)
        ended = "failed" if self.state == "failed" else "running"
        return [
            {
                "code": code,
                "title": titles[code],
                "state": "done" if i < reached else ended if i == reached else "pending",
                "share": self.stage_share if i == reached and code == self.stage else 0,
                "seconds": seconds.get(code, False),
            }
            for i, code in enumerate(codes)
        ]

    def _stage_now(self):
        """Return the stage that is being done, or in which it failed; nothing when all are."""
        if self.state in ("done", "going_back", "gone_back"):
            return ""
        if self.state in ("waiting", "placing"):
            return self.state
        if self.report and self.new_database:  # failed while it was put in place
            return "placing"
        return "placing" if self.stage in HIDDEN else self.stage or "waiting"
