"""What can be wrong with a repository."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class RepositoryUnset(PermanentError):
    """Nobody has said where the server's repository is."""

    code = "repository_unset"


class RepositoryUnreachable(RetryableError):
    """The object store did not answer, or answered that it is overloaded or failing."""

    code = "repository_unreachable"


class RepositoryDenied(PermanentError):
    """The object store refused the account, or there is no such bucket."""

    code = "repository_denied"


class ObjectMissing(PermanentError):
    """An object that the repository's own lists name is not there, or is shorter than they say."""

    code = "object_missing"


class WrongKey(PermanentError):
    """A file of the repository cannot be decrypted: the passphrase is another one, or the file is damaged."""

    code = "wrong_key"


class RepositoryDamaged(PermanentError):
    """A file of the repository does not have the content that its own checksum speaks of."""

    code = "repository_damaged"


class UnknownFormat(PermanentError):
    """The repository was written by a pgBackRest whose format this engine does not know."""

    code = "unknown_format"
