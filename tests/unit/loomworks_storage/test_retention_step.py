"""The mark that an archived tenant's claim carries."""

from addons.loomworks_storage.reconciler.retention import DELETED_AT, RETENTION_DAYS, Retention
from addons.loomworks_tenant.reconciler.spec import Goal
from addons.loomworks_tenant.reconciler.step import Boundaries, Done
from factories import tenant_spec


class Claim:
    """A cluster with one claim, or none."""

    def __init__(self, annotations=None):
        self.annotations, self.changes = annotations, 0

    def get(self, kind, name, namespace=None):
        return None if self.annotations is None else {"metadata": {"annotations": dict(self.annotations)}}

    def merge(self, kind, name, namespace, change):
        self.changes += 1
        for key, value in change["metadata"]["annotations"].items():
            if value is None:
                self.annotations.pop(key, None)
            else:
                self.annotations[key] = value


ARCHIVED = {"goal": Goal.ARCHIVED, "deleted_at": "2026-03-01T10:00:00Z", "retention_days": 30}
OTHERS = {"pv.kubernetes.io/bind-completed": "yes"}


def removed(claim, **changes):
    return Retention().remove(tenant_spec(**{**ARCHIVED, **changes}), Boundaries(claim, None, None))


def test_claim_says_since_when_and_for_how_long_it_is_kept():
    claim = Claim(OTHERS)
    assert removed(claim) == Done("2026-03-01T10:00:00Z")
    assert claim.annotations == {**OTHERS, DELETED_AT: "2026-03-01T10:00:00Z", RETENTION_DAYS: "30"}
    removed(claim)
    assert claim.changes == 1
    removed(claim, retention_days=41)
    assert claim.annotations[RETENTION_DAYS] == "41"


def test_mark_goes_when_the_tenant_comes_back():
    claim = Claim(OTHERS)
    removed(claim)
    for _time in range(2):
        assert Retention().ensure(tenant_spec(), Boundaries(claim, None, None)) == Done("")
    assert (claim.annotations, claim.changes) == (OTHERS, 2)


def test_claim_that_is_not_there_or_goes_with_the_tenant_is_left_alone():
    assert removed(Claim()) == Done("no claim")
    claim = Claim(OTHERS)
    removed(claim, goal=Goal.ERASED)
    assert claim.changes == 0
