"""Have an Odoo's scheduled actions outlive the absence of its database server.

A thread of Odoo 19 that runs crons (odoo/service/server.py, ``cron_thread``) ends with the first connection that is
refused, and nothing starts another: pages are served again after a restart of the server, and no cron ever runs.
"""

import functools
import logging
import threading
import time

PAUSE = 2.0  # seconds between two tries to connect

_logger = logging.getLogger("loomworks.crons")


def activate(server_class):
    """Have the threads that ``server_class`` runs crons in begin again, whatever ended them."""
    once = server_class.cron_thread

    @functools.wraps(once)
    def cron_thread(self, number):
        while True:
            try:
                once(self, number)
            except Exception as error:  # noqa: BLE001  (whatever it is, a server without crons is worse)
                threading.current_thread().start_time = None
                _logger.warning("cron%d begins again: %s", number, " ".join(str(error).split()))
                time.sleep(PAUSE)

    server_class.cron_thread = cron_thread
