"""What restores tell of their snapshots: a listing shows that objects are there, not what is in them."""

from odoo import fields, models
from odoo.addons.loomworks_storage.filestore.errors import ObjectMissing as FileMissing

from ..repository.verdict import Proof, Reason, Unproven
from .restore import RUNNING

# Codes of a restore by which the repository does not hold the moment, though its listing may lack nothing.
HIDDEN = frozenset({"wal_damaged", "repository_damaged", "object_missing", "files_missing", "check_failed"})
PARTLY_HIDDEN = frozenset({"target_not_reached"})  # a listing shows it where a segment is missing
LISTED = frozenset({one.value for one in Reason} - {Reason.NOT_YET_ARCHIVED.value, Reason.DAMAGED.value})
HINT = "A restore or a drill of it that comes to its end shows that it is whole again: “Drill”, or “Try again” there."


class SnapshotDamage(models.Model):
    """A snapshot whose restores are the last word on it."""

    _inherit = "loomworks.snapshot"

    damage = fields.Text("Found by a restore", readonly=True, help="What is wrong, though all objects are there.")
    damage_code = fields.Char(readonly=True)

    def _broken(self):
        """Return those that the repository is known not to lead to, restored from at this moment or not."""
        return self.filtered(
            lambda one: one.state == "failed" or (one.state == "restoring" and bool(one.problem_since))
        )

    def _release(self, error=None, *, whole=False):
        """Let go of what nobody restores from any more, and have it proven anew at once.

        :param error: what a restore has ended with; where it is about the repository, the snapshots fail, loudly
        :param whole: a restore has come to its end, so that whatever an earlier one found is mended
        """
        if whole:
            self.filtered("damage").write({"damage": False, "damage_code": False})
        if error and self._is_told_by(error):
            self._record_damage(error)
        held = self.restore_ids.filtered(lambda one: one.state in RUNNING).snapshot_id
        free = (self - held).filtered(lambda one: one.state == "restoring")
        broken = free._broken()
        broken.state = "failed"
        (free - broken).state = "ready"
        self.filtered(lambda one: one.state != "expired")._request_reconcile()

    def _is_told_by(self, error):
        """Tell whether what a restore has ended with is about the way to these moments.

        What it looks up in a listing is: where it leads to a restore point. To a position, it looks up a record of now,
        and a hole behind the moment is nothing to the snapshot, which is proven by itself. Files are another matter.
        """
        if isinstance(error, FileMissing):  # its code is that of a part of the repository
            return False
        listed = LISTED if all(self.mapped("restore_point")) else frozenset()
        return error.code in HIDDEN | PARTLY_HIDDEN | listed

    def _record_damage(self, error):
        """Note that a restore could not reach the moment; operators are told once."""
        living = self.filtered(lambda one: one.state in ("ready", "restoring", "failed"))
        untold = living - living._broken()
        values = {"error_code": error.code, "error_message": str(error), "verify_message": str(error)}
        if error.code not in LISTED:
            values |= {"damage": str(error), "damage_code": error.code}
        living.write(values)
        living.filtered(lambda one: not one.problem_since).problem_since = fields.Datetime.now()
        living.filtered(lambda one: one.state == "ready").state = "failed"
        if untold:
            untold._raise_alarm()

    def _after_restores(self, verdict):
        """Return a verdict on this snapshot as it stands after what restores have found."""
        if not self.damage:
            return verdict
        if isinstance(verdict, Proof):
            return Unproven(Reason.DAMAGED, f"a restore found damage: {self.damage.splitlines()[0]}", HINT)
        if self.damage_code in PARTLY_HIDDEN:
            self.write({"damage": False, "damage_code": False})  # it is this that the restore met: a proof will show it
        return verdict
