"""No scheduled action is due while the control plane says so."""

from addons.loomworks_client import waiting_crons
from addons.loomworks_snapshot.restoring import outgoing


class Cursor:
    def __init__(self, held):
        self.held, self.asked = held, []

    def execute(self, query, parameters):
        self.asked.append(parameters)

    def fetchone(self):
        return (1,) if self.held else None


def a_class():
    class Cron:
        @staticmethod
        def _get_all_ready_jobs(cr):
            return [{"id": 1}]

    for _twice in range(2):
        waiting_crons.activate(Cron)
    return Cron


def test_nothing_is_due_while_the_parameter_is_there():
    cursor = Cursor(held=True)
    assert a_class()._get_all_ready_jobs(cursor) == []
    assert cursor.asked == [[outgoing.CRONS_WAIT]]


def test_everything_is_due_without_it():
    assert a_class()._get_all_ready_jobs(Cursor(held=False)) == [{"id": 1}]
