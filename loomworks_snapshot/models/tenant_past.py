"""What rows, repository and server say of one tenant's past, brought together for the time machine."""

from datetime import UTC, datetime

from odoo import fields
from odoo.addons.loomworks_tenant.errors import LoomworksError

from ..repository import restore_point
from ..repository.proof import Prover
from ..repository.segments import SEGMENT_SIZE, Segment, parse_lsn
from ..timeline.clock import WalClock
from ..timeline.estimate import NEWEST, Sample, estimate
from ..timeline.reach import Reach, reaches
from ..timeline.spans import Span, restorable, without

BACKUPS = 400
SNAPSHOTS = 500  # whose positions tell the server's WAL in time
OVERHEAD_LIMIT = 900  # seconds; what took longer waited for something else


class Past:
    """What rows and repository say of one tenant's past, read once."""

    def __init__(self, tenant):
        self.tenant, self.notes = tenant.sudo(), []
        self.server = self.tenant.server_id
        self.now, self.born = stamp(fields.Datetime.now()), stamp(tenant._born())
        self.backups = self._backups()
        self.clock = WalClock(self._known_positions())
        self.abandoned = []  # times that the server's way does not have
        self.reached = self._reaches()
        self.spans = without(restorable(map(self._span, self.reached), self.born, self.now), self.abandoned)

    def _backups(self):
        domain = [("server_id", "=", self.server.id), ("state", "=", "done"), ("lsn_stop", "!=", False)]
        return self.server.base_backup_ids.search(domain, limit=BACKUPS)

    def backups_between(self, since, until):
        """Return the base backups that ended in the window, the newest first."""
        return [
            {
                "id": one.id,
                "at": text(one.finished_at),
                "type": one.backup_type,
                "label": one.label,
                "seconds": one.duration,
                "usable": not one.page_errors,
            }
            for one in self.backups
            if one.finished_at and since <= one.finished_at <= until
        ]

    def estimate(self, moment):
        """Return about how long a restore to this moment takes, from earlier ones on the server."""
        told_size, position = self._size(), self.clock.position(stamp(moment))
        before = [one.position for one in self.reached if one.stopped <= stamp(moment)]
        wal = max(0, position - max(before)) if before else 0
        found = estimate(self._samples(), told_size, wal)
        return {
            "seconds": round(found.seconds, 1),
            "low": round(found.low, 1),
            "high": round(found.high, 1),
            "measured": found.measured,
            "wal_bytes": wal,
            "size_bytes": told_size,
        }

    def _known_positions(self):
        """Yield (moment, position): of base backups, of the tenant's snapshots, of the newest archived segment."""
        newest = self.backups[:1].system_identifier
        for one in self.backups.filtered(lambda backup: backup.system_identifier == newest):
            yield stamp(one.finished_at), parse_lsn(one.lsn_stop)
        for one in self.tenant.snapshot_ids[:SNAPSHOTS]:
            if one.wal_position and one.system_identifier in (newest, False):
                yield stamp(one.created_at), parse_lsn(one.wal_position)
        if self._archived():
            yield stamp(self.server.last_archived_at), (self._archived().number + 1) * SEGMENT_SIZE

    def _archived(self):
        name = self.server.last_archived_wal
        return Segment.parse(name) if name and self.server.last_archived_at else None

    def _reaches(self):
        """Ask the repository how far each base backup leads; where it cannot be asked, the rows have to do."""
        env = self.tenant.env
        if not self.server:
            return []
        if self._archived():
            try:
                prover = Prover(self.server._repository_store())
                found = reaches(prover, self._archived())
                self.abandoned = self.server._abandoned_spans(prover.catalog, self._archived().timeline)
                return [one for one in found if not one.useless]
            except LoomworksError as error:
                self.notes.append(env._("The repository cannot be asked now, gaps are not shown: %s", error))
        usable = self.backups.filtered(lambda one: not one.page_errors and one.finished_at)
        return [Reach(one.label, stamp(one.finished_at), parse_lsn(one.lsn_stop)) for one in usable]

    def _span(self, reach):
        until = self.clock.moment(reach.until) if reach.until is not None else None
        return Span(reach.stopped, self.now if until is None else max(until, reach.stopped))

    def _size(self):
        """Return the bytes of the tenant's database: as last measured, or as the server says."""
        measured = self.tenant.snapshot_ids.filtered("size_bytes")[:1].size_bytes
        place = None if measured else self.tenant._database_server()
        if not place:
            return int(measured)
        try:
            return restore_point.sizes(place[0], [place[1]]).get(place[1], 0)
        except LoomworksError:
            return 0

    def _samples(self):
        domain = [("server_id", "=", self.server.id), ("state", "in", ("done", "gone_back"))]
        return [sample(one) for one in self.tenant.env["loomworks.restore"].search(domain, limit=NEWEST) if one.report]


def sample(restore):
    """Return what a restore took, as the engine counts it."""
    report = restore.report
    overhead = None
    if restore.purpose == "in_place" and restore.placed_at:
        beside = (restore.placed_at - restore.started_at).total_seconds() - restore.total_seconds
        overhead = beside if 0 <= beside <= OVERHEAD_LIMIT else None
    return Sample(report["seconds"], report.get("size", 0), report.get("segments", 0) * SEGMENT_SIZE, overhead)


def stamp(moment):
    """Return a moment of Odoo's (UTC, no time zone) as seconds since 1970."""
    return moment.replace(tzinfo=UTC).timestamp() if moment else 0.0


def text(moment):
    """Return a moment, or seconds since 1970, as JSON-2 writes moments; False for none."""
    if moment and isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    return fields.Datetime.to_string(moment) if moment else False
