"""Why a volume cannot have the size that it is to have, each with a stable code."""

from __future__ import annotations

from ...loomworks_tenant.errors import PermanentError, RetryableError


class VolumeShrinks(PermanentError):
    """The size is smaller than what the volume has: no storage takes room back from a file system."""

    code = "volume_shrinks"


class VolumeLost(PermanentError):
    """The claim of a volume with a tenant's files on it is gone: an empty one in its place would hide that."""

    code = "volume_lost"


class ExpansionNotAllowed(PermanentError):
    """The volume's storage class does not let volumes grow."""

    code = "expansion_not_allowed"


class ExpansionInfeasible(PermanentError):
    """The storage behind the volume has said that it cannot have this size."""

    code = "expansion_infeasible"


class ExpansionFails(RetryableError):
    """Growing has failed so far; the cluster tries again by itself."""

    code = "expansion_fails"
