-- What the steward and the control plane tell each other about the repository, made or completed at every start.
--
-- The control plane asks by inserting a row; only the steward, as the superuser, writes the rest. Nothing here is secret.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

CREATE SCHEMA IF NOT EXISTS loomworks;

CREATE TABLE IF NOT EXISTS loomworks.repository_work (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('full', 'incr', 'diff', 'expire', 'check', 'verify')),
    argument text, -- of expire: the label of the backup that is to go, with all that depend on it
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    exit_code int, -- 0: done
    message text, -- the last lines that pgBackRest wrote
    label text, -- of the backup that was made
    CONSTRAINT repository_work_argument CHECK (
        (kind = 'expire') = (argument IS NOT NULL)
        AND argument ~ '^[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?$')
);
-- Asking twice for what has not been done yet is asking once.
CREATE UNIQUE INDEX IF NOT EXISTS repository_work_pending
    ON loomworks.repository_work (kind, coalesce(argument, '')) WHERE finished_at IS NULL;

-- One row: what `pgbackrest info` said last, what the repository's files take, and why it could not be read, if so.
CREATE TABLE IF NOT EXISTS loomworks.repository_info (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    taken_at timestamptz,
    info jsonb,
    backup_bytes bigint,
    archive_bytes bigint,
    tried_at timestamptz NOT NULL,
    error text
);

GRANT USAGE ON SCHEMA loomworks TO loomworks_provisioner;
GRANT SELECT ON loomworks.repository_work, loomworks.repository_info TO loomworks_provisioner;
GRANT INSERT (kind, argument) ON loomworks.repository_work TO loomworks_provisioner;

-- Restore points for snapshots; the segments that wait for being archived.
GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal(), pg_ls_archive_statusdir()
    TO loomworks_provisioner;
