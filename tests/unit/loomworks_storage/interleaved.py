"""Several who work on one store, one request at a time in an order that a test says; each may be killed."""

from collections import deque
from datetime import UTC, datetime, timedelta
from threading import Condition, Thread

from addons.loomworks_storage.filestore.errors import ObjectMissing, ObjectShort
from addons.loomworks_storage.filestore.location import Location
from addons.loomworks_storage.filestore.store import StoredObject
from filestores import Killed

PATIENCE = 30  # seconds in which a thread has to come to its next request


class MemoryStore:
    """Objects in memory, as S3 keeps them: what was written is seen by all, and what is there stays when it should."""

    def __init__(self):
        self.objects = {}
        self.now = datetime(2026, 11, 21, tzinfo=UTC)
        self.location = Location("0d3c8a52-6f0e-4b0e-9d0e-2f6f1c7a9b11", "memory", "bucket", "region", "", "")

    def put(self, name, data, *, replace=False):
        if name in self.objects and not replace:
            return False
        self.objects[name] = (data, self.now)
        return True

    def put_parts(self, name, parts, *, replace=False):
        return self.put(name, b"".join(parts), replace=replace)

    def read(self, name):
        if name not in self.objects:
            raise ObjectMissing(f"{name} is not in the object store")
        return self.objects[name][0]

    def read_parts(self, name, size, part):
        data = self.read(name)[:size]
        yield from (data[offset : offset + part] for offset in range(0, size, part))

    def read_range(self, name, offset, size):
        data = self.read(name)
        if offset >= len(data):
            raise ObjectShort(f"{name} ends before")
        return data[offset : offset + size]

    def size(self, name):
        return len(self.read(name))

    def list(self, folder):
        found, beginning = sorted(self.objects.items()), f"{folder}/" if folder else ""
        yield from [StoredObject(name, len(data), at) for name, (data, at) in found if name.startswith(beginning)]

    def delete(self, name):
        self.objects.pop(name, None)

    def pass_time(self, **duration):
        self.now += timedelta(**duration)


class Gate:
    """Lets one request through when it is told to."""

    def __init__(self):
        self._changed = Condition()
        self._allowed, self._waiting, self._ended, self.killed = 0, False, False, False
        self.next = ""  # request that waits

    def enter(self, request):
        """Wait to be let through; raise when killed, now and ever after."""
        with self._changed:
            self.next = request
            self._waiting = True
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._allowed or self.killed, PATIENCE)
            self._waiting = False
            if self.killed:
                raise Killed
            self._allowed -= 1

    def end(self):
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def arrived(self):
        """Wait until its owner asks for the next request or has ended; tell whether it goes on."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended or (self._waiting and not self._allowed), PATIENCE)
            return not self._ended

    def let_through(self, *, kill=False):
        with self._changed:
            self._allowed, self.killed = self._allowed + 1, self.killed or kill
            self._waiting = False
            self._changed.notify_all()


class GatedStore:
    """A store each of whose requests waits at a gate."""

    def __init__(self, inner, gate):
        self.location, self._inner, self._gate = inner.location, inner, gate

    def __getattr__(self, name):
        def request(*arguments, **options):
            self._gate.enter(f"{name} {arguments[0].partition('/')[0]}")
            found = getattr(self._inner, name)(*arguments, **options)
            return iter(list(found)) if name in ("list", "read_parts") else found

        return request


class Actor:
    """Somebody at work in a thread of its own, one request at each step."""

    def __init__(self, store, work):
        self.gate = Gate()
        self.outcome = None
        self._work, self._store = work, GatedStore(store, self.gate)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.outcome = self._work(self._store)
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            self.outcome = error
        finally:
            self.gate.end()

    def step(self, *, kill=False):
        """Do the next request, or die before it; tell whether there is more to do."""
        if not self.gate.arrived():
            self._thread.join()
            return False
        self.gate.let_through(kill=kill)
        return self.gate.arrived()


def run_all(actors, choices, after=lambda: None):
    """Let ``actors`` do their requests in the order of ``choices``, then in turns; call ``after`` after each."""
    going = deque(actors)
    for choice in choices:
        if not going:
            return
        actor = going[choice.who % len(going)]
        goes_on = actor.step()
        after()
        while goes_on and choice.until not in ("", actor.gate.next):
            goes_on = actor.step()
            after()
        if not goes_on or (choice.kill and not actor.step(kill=True)):
            going.remove(actor)
    while going:
        actor = going.popleft()
        if actor.step():
            going.append(actor)
        after()
