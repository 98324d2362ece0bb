"""What can be wrong with a list of tenants to bring in, or with a source, each with a stable code."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class ListUnreadable(PermanentError):
    """A list of tenants is no table of lines with the columns that are asked for."""

    code = "import_list_unreadable"


class SourceUnreadable(PermanentError):
    """A source is no folder or archive that can be read."""

    code = "import_source_unreadable"


class SourceRefused(PermanentError):
    """A source holds what an Odoo's backup does not hold, or more than it may."""

    code = "import_source_refused"


class TooLargeToLook(PermanentError):
    """A source holds more than is looked at while somebody waits; nothing is wrong with it."""

    code = "import_too_large_to_look"


class DumpMissing(PermanentError):
    """A source has no dump of a database, or several."""

    code = "import_dump_missing"


class DumpRefused(PermanentError):
    """A dump is of a kind that is not loaded, or wants what only a superuser may do."""

    code = "import_dump_refused"


class DatabaseAway(RetryableError):
    """The database that a source is to fill cannot be reached, or was lost while it was filled."""

    code = "import_database_away"
