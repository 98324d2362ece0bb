-- The roles of the control plane, brought to what they should be at every start.
--
-- The passwords are read from files in CREDENTIALS_DIR, so that no command line shows them. A statement that
-- fails would be logged with the password in it, so none is logged.
\set ON_ERROR_STOP on
\set QUIET on
\set provisioner_password `cat "$CREDENTIALS_DIR/provisioner-password"`
\set control_password `cat "$CREDENTIALS_DIR/control-password"`
SET log_min_error_statement = panic;
SET log_min_duration_statement = -1;
SET log_statement = none;

SELECT format('CREATE ROLE %I', name)
  FROM (VALUES ('loomworks_provisioner'), ('loomworks_control')) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)
\gexec

ALTER ROLE loomworks_provisioner
    LOGIN CREATEDB CREATEROLE NOSUPERUSER NOREPLICATION NOBYPASSRLS PASSWORD :'provisioner_password';
-- It makes the tenants' roles and databases; owning both needs SET ROLE to the roles that it made.
ALTER ROLE loomworks_provisioner SET createrole_self_grant = 'set, inherit';
ALTER ROLE loomworks_control
    LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER NOREPLICATION NOBYPASSRLS PASSWORD :'control_password';

SELECT 'CREATE DATABASE loomworks OWNER loomworks_control TEMPLATE template0 STRATEGY wal_log'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'loomworks')
\gexec

-- A tenant's role connects to its own database only.
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1, loomworks FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO loomworks_provisioner, loomworks_control;
