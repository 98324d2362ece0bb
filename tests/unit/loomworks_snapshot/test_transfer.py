"""What a database's load says when it fails."""

import pytest
from addons.loomworks_snapshot.pitr import transfer
from addons.loomworks_snapshot.pitr.errors import LoadFailed, ProgramFailed
from addons.loomworks_tenant.errors import ServerUnreachable

RESTARTED = "pg_restore failed (1): FATAL:  terminating connection due to administrator command"
GONE = "pg_restore failed (1): could not execute query: server closed the connection unexpectedly"
STARTING = "pg_restore failed (1): connection to server failed: FATAL:  the database system is starting up"
REFUSED = 'connection to server at "db" (10.1.0.3), port 5432 failed: Connection refused'
DENIED = (
    'connection to server at "db" (10.1.0.3), port 5432 failed: FATAL:  password authentication failed for user "o"'
)
WRONG = 'pg_restore failed (1): could not execute query: ERROR:  type "vector" does not exist'


class Failing:
    """Programs of which the first one fails with these words."""

    def __init__(self, words):
        self.words = words

    def run(self, *argv, **options):
        raise ProgramFailed(self.words)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        *((words, ServerUnreachable) for words in (RESTARTED, GONE, STARTING, REFUSED)),
        *((words, LoadFailed) for words in (WRONG, DENIED)),
    ],
)
def test_a_server_that_went_away_is_worth_another_try(words, error):
    with pytest.raises(error):
        transfer.load(Failing(words), "folder", {"PGDATABASE": "t_back"}, 1)


class Noting:
    """Programs of which only the environment is noted."""

    def __init__(self):
        self.options = {}

    def run(self, program, *_arguments, env):
        self.options[program] = env.get("PGOPTIONS", "")


def test_only_the_analysis_waits_for_the_disk_and_what_was_given_stays():
    programs, given = Noting(), "-c role=t_back"
    transfer.load(programs, "folder", {"PGDATABASE": "t_back", "PGOPTIONS": given}, 1)
    assert programs.options == {"pg_restore": f"{given} -c synchronous_commit=off", "vacuumdb": given}
