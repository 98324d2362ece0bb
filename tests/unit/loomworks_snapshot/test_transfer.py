"""What a database's load says when it fails."""

import pytest
from addons.loomworks_snapshot.pitr import transfer
from addons.loomworks_snapshot.pitr.errors import LoadFailed, ProgramFailed
from addons.loomworks_tenant.errors import ServerUnreachable

RESTARTED = "pg_restore failed (1): FATAL:  terminating connection due to administrator command"
GONE = "pg_restore failed (1): could not execute query: server closed the connection unexpectedly"
WRONG = 'pg_restore failed (1): could not execute query: ERROR:  type "vector" does not exist'


class Failing:
    """Programs of which the first one fails with these words."""

    def __init__(self, words):
        self.words = words

    def run(self, *argv, **options):
        raise ProgramFailed(self.words)


@pytest.mark.parametrize(
    ("words", "error"), [(RESTARTED, ServerUnreachable), (GONE, ServerUnreachable), (WRONG, LoadFailed)]
)
def test_a_server_that_went_away_is_worth_another_try(words, error):
    with pytest.raises(error):
        transfer.load(Failing(words), "folder", {"PGDATABASE": "t_back"}, 1)
