"""A server and its repository in memory, behind the two boundaries that snapshots use."""

from datetime import UTC, datetime
from unittest.mock import patch

from harness import in_memory_repository as in_memory
from odoo import fields
from odoo.addons.loomworks_tenant.tests.common import TenantCase

from ..repository import restore_point
from ..repository.restore_point import RestorePoint
from ..repository.segments import SEGMENT_SIZE

FIRST_BACKUP = in_memory.MadeBackup("20261121-000000F", 1, in_memory.lsn(1), in_memory.lsn(1, 0x200))
SPACE = 0x100  # bytes between two restore points


class World:
    """A server that takes restore points and archives one segment for each switch, unless told otherwise."""

    def __init__(self):
        self.store = in_memory.repository([FIRST_BACKUP])
        self.segment = 2
        self.batches = []
        self.archiving = True
        self.error = None
        self.repository_error = None
        self.sizes = {}
        self.pushes = 0
        self.store.put_segment(1, 1)

    def take(self, server, names):
        if self.error:
            raise self.error
        self.batches.append(list(names))
        points = [
            RestorePoint(name, in_memory.lsn(self.segment, SPACE * (i + 1)), 1, in_memory.SYSTEM, datetime.now(UTC))
            for i, name in enumerate(names)
        ]
        self.switch()
        return points

    def switch(self):
        if self.archiving:
            self.store.put_segment(1, self.segment)
        self.segment += 1

    def push(self, server):
        self.pushes += 1
        self.switch()
        self.switch()

    def archive_all(self):
        for number in range(1, self.segment):
            self.store.put_segment(1, number)

    def open_store(self):
        if self.repository_error:
            raise self.repository_error
        return self.store


class SnapshotCase(TenantCase):
    """An active tenant with an administrator, on a server in memory."""

    def setUp(self):
        super().setUp()
        self.world = world = World()

        def open_store(_server):
            return world.open_store()

        for target, name, value in (
            (restore_point, "take", world.take),
            (restore_point, "push", world.push),
            (restore_point, "sizes", lambda server, names: world.sizes),
            (type(self.env["loomworks.database.server"]), "_repository_store", open_store),
        ):
            patcher = patch.object(target, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.tenant = self.make_active(admin_ids=[(6, 0, self.customer.ids)])

    @property
    def snapshots(self):
        return self.env["loomworks.snapshot"]

    def take(self, tenants=None, user=None, name=None):
        tenants = (tenants or self.tenant).with_user(user or self.operator)
        return self.snapshots.browse(tenants.action_create_snapshot(name))

    def take_ready(self, tenants=None, **values):
        made = self.take(tenants)
        self.run_reconciler()
        self.assertEqual(set(made.mapped("state")), {"ready"})
        made.write(values)
        return made

    def run_reconciler(self):
        """Do what the worker does in one round: each server's steps for as long as there are any at once."""
        for row in self.snapshots.sudo()._due_rows(64):
            while row._reconcile_step() == 0:
                pass

    def look_now(self, snapshots):
        snapshots.reconcile_at = fields.Datetime.now()
        self.run_reconciler()

    def lose(self, snapshot):
        """Lose the segment of a snapshot, with later ones there."""
        number = int(snapshot.wal_position.split("/")[1], 16) // SEGMENT_SIZE
        self.world.switch()
        self.world.store.drop_segment(1, number)
        return number

    def audited(self, records):
        domain = [("model_name", "=", records._name), ("record_id", "in", records.ids)]
        return self.env["loomworks.audit"].search(domain, order="id").mapped("action")
