"""Moments of a real server, and what may happen to the objects that they rest on."""

import uuid
from contextlib import contextmanager

from addons.loomworks_snapshot.repository.segments import Segment, parse_lsn
from addons.loomworks_snapshot.repository.verdict import Target
from harness.cell import BUCKET


def moment(cell):
    """Make a restore point, have it archived, and return it as a target."""
    name = f"lw_{uuid.uuid4().hex}"
    position = cell.restore_point(name)
    return target(cell, position)


def target(cell, position, **changes):
    """Return a position of the server as it is now."""
    [(system, timeline)] = cell.ask(
        "SELECT system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint()"
    )
    return Target(**{"system_identifier": system, "timeline": timeline, "lsn": parse_lsn(position), **changes})


def objects(store, part):
    """Return the names of the repository's objects that contain ``part``."""
    return [item.name for item in store.list("") if part in item.name]


def last_segment(of):
    """Return the name of the segment in which a target lies."""
    return Segment.ending(of.timeline, of.lsn).name


@contextmanager
def changed(cell, store, part, data=None):
    """Delete the objects whose names contain ``part``, or give them other content; put them back at the end."""
    client = cell.s3.client()
    keys = [store.location.object_key(name) for name in objects(store, part)]
    assert keys, f"nothing is named like {part}"
    kept = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
    try:
        for key in keys:
            if data is None:
                client.delete_object(Bucket=BUCKET, Key=key)
            else:
                client.put_object(Bucket=BUCKET, Key=key, Body=data)
        yield
    finally:
        for key, body in kept.items():
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
