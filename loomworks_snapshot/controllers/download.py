"""``/loomworks/download/<token>``: a tenant's file, decrypted on its way, for whoever has the link."""

import logging
import re
import threading
import time
import weakref
from collections import Counter
from contextlib import suppress

from odoo import http
from odoo.addons.loomworks_tenant.errors import LoomworksError
from odoo.http import Response, content_disposition, request

from ..export.errors import FileGone
from ..models.restored_file import PATH

_logger = logging.getLogger(__name__)

AT_ONCE = 6  # downloads in one process: each holds one of its threads
OF_ONE_TENANT = 2  # of these
STALLED = 90  # seconds after which somebody who does not take what is sent has gone
RETRY_AFTER = 60  # seconds
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address is the secret
    "X-Accel-Buffering": "no",  # nothing in clear on a proxy's disk
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
PAGE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}

TOKEN = re.compile(rf"({PATH}/)[\w-]+")


class _Running:
    """How many downloads of each tenant are under way in this process."""

    def __init__(self):
        self._lock = threading.RLock()  # a dropped body may be found wherever memory is asked for
        self._count = Counter()

    def begin(self, tenant):
        """Count one more of a tenant, and tell whether there is room for it."""
        with self._lock:
            room = self._count.total() < AT_ONCE and self._count[tenant] < OF_ONE_TENANT
            self._count[tenant] += room
            return room

    def end(self, tenant):
        """One of a tenant is over."""
        with self._lock:
            self._count[tenant] -= 1


_running = _Running()


class _Discreet(logging.Filter):
    """Has the log of requests not hold what a link consists of."""

    def filter(self, record):
        if PATH in str(record.args):
            record.args = tuple(TOKEN.sub(r"\1...", one) if isinstance(one, str) else one for one in record.args)
        return True


logging.getLogger("werkzeug").addFilter(_Discreet())


class Download(http.Controller):
    """One address; the link is all that it asks for."""

    @http.route(
        f"{PATH}/<string:token>", type="http", auth="public", methods=["GET"], sitemap=False, save_session=False
    )
    def download(self, token, **_ignored):
        """Send the file, or a page that says why not: 404 for what is no link, 410 for one that is over."""
        env = request.env
        try:
            restore, maker, until = env["loomworks.restore"]._of_link(token)
        except ValueError:  # not even the form of a token
            return _refuse(404, env._("There is no such link"), env._("Perhaps it was not copied whole."))
        if until <= time.time() or not restore or not restore._may_hand_out(maker):
            return _gone()
        try:
            return _send(restore, maker)
        except FileGone:
            _logger.exception("the file of the restore %s", restore.id)
            return _gone()
        except LoomworksError as error:
            _logger.warning("the file of the restore %s cannot be read: %s", restore.id, error)
            text = env._("The store in which the file is does not answer. Try again in some minutes.")
            return _refuse(503, env._("The file cannot be read just now"), text)


def _send(restore, maker):
    """Return the response that carries the file.

    :raises LoomworksError: when it cannot be read
    """
    size, file = int(restore.file_size), restore._file()
    file.require(size)
    headers = {
        **HEADERS,
        "Content-Type": "application/zip",
        "Content-Length": str(size),
        "Content-Disposition": content_disposition(restore._file_name()),
    }
    if request.httprequest.method == "HEAD":
        return Response(headers=headers)
    if not _running.begin(restore.tenant_id.id):
        text = request.env._("Several files are being downloaded. Try again in some minutes.")
        return _refuse(503, request.env._("Please wait a moment"), text)
    try:
        request.env["loomworks.audit"]._record("export_download", restore.tenant_id, f"by a link of {maker.login}")
        body = _Body(file.read(size), request.httprequest.environ.get("socket"), restore)
    except BaseException:
        _running.end(restore.tenant_id.id)
        raise
    return Response(body, headers=headers, direct_passthrough=True)


class _Body:
    """The file's blocks, as the server takes them, which then closes it; or drops it, when the request fails before."""

    def __init__(self, blocks, connection, restore):
        self._blocks = blocks
        self._number = restore.id
        if connection is not None:
            connection.settimeout(STALLED)
        self._end = weakref.finalize(self, _running.end, restore.tenant_id.id)

    def __iter__(self):
        return self

    def __next__(self):
        # A request of Odoo's has two minutes; this one is no longer than what is on its way.
        threading.current_thread().start_time = time.time()
        try:
            return next(self._blocks)
        except LoomworksError as error:
            _logger.warning("a download of the restore %s has broken off: %s", self._number, error)
            raise

    def close(self):
        """Let another one begin."""
        self._end()
        with suppress(LoomworksError):
            self._blocks.close()


def _gone():
    env = request.env
    text = env._(
        "A link works for a day, and a file is kept for a week. This link is over, or its file has been deleted. Ask "
        "whoever gave you the link for a new one."
    )
    return _refuse(410, env._("This link no longer works"), text)


def _refuse(status, headline, explanation):
    values = {"headline": headline, "explanation": explanation, "disable_database_manager": True}
    headers = {**HEADERS, **PAGE_HEADERS, **({"Retry-After": str(RETRY_AFTER)} if status == 503 else {})}
    template = "loomworks_snapshot.download_refused"
    return request.render(template, values, headers=list(headers.items()), status=status)
