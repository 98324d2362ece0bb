"""How long a restore will take, from how long earlier ones on the same server took.

Each measured restore predicts the one in question: what depends on the size of the tenant's files is scaled by that
size, the replay by its WAL, and the rest stays as it was. Files and WAL have a share that even the smallest restore
has: scaling counts from there. Of the predictions the middle one is told, and their spread as the range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import median, quantiles

from ..repository.segments import SEGMENT_SIZE

BY_SIZE = ("fetch", "restore", "check", "dump", "load")  # stages that grow with the tenant's files
BY_WAL = ("replay",)
LEAST_SIZE = 64 * 1024 * 1024  # bytes: about what an Odoo without any data costs
LEAST_WAL = 4 * SEGMENT_SIZE
# Of a tenant of LEAST_SIZE on an idle server, where nothing was measured: stages as in a restore's report.
DEFAULT = {"catalogue": 0.5, "fetch": 1.0, "restore": 1.0, "replay": 3.0, "check": 2.0, "dump": 1.0, "load": 6.0}
DEFAULT_OVERHEAD = 20.0  # seconds until the Job runs, and until the tenant's Odoo serves the new database
FACTOR_ALONE = 3.0  # the range, where nothing was measured
FACTOR_FEW = 1.6  # where fewer than FEW were
FACTOR = 1.25
FEW = 3
NEWEST = 20  # measured restores that count


@dataclass(frozen=True)
class Sample:
    """A restore or drill that came to its end."""

    seconds: Mapping[str, float]  # by stage
    size: int  # bytes of the restored files
    wal: int  # bytes that were replayed
    overhead: float | None = None  # seconds beside the stages; None where it was not put in place


@dataclass(frozen=True)
class Estimate:
    """Seconds that a restore takes, about; measured restores that it rests on."""

    seconds: float
    low: float
    high: float
    measured: int
    stages: Mapping[str, float] = field(default_factory=dict)


def estimate(samples: Sequence[Sample], size: int, wal: int) -> Estimate:
    """Return how long a restore of ``size`` bytes of files with ``wal`` bytes of WAL takes.

    :param samples: the newest first
    """
    used = [one for one in samples if one.seconds][:NEWEST]
    measured = [one.overhead for one in used if one.overhead is not None]
    overhead = median(measured) if measured else DEFAULT_OVERHEAD
    if not used:
        stages = _scaled(Sample(DEFAULT, 0, 0), size, wal)
        return _ranged([sum(stages.values()) + overhead], FACTOR_ALONE, 0, stages)
    predicted = [_scaled(one, size, wal) for one in used]
    names = dict.fromkeys(chain.from_iterable(predicted))
    stages = {name: median(one.get(name, 0.0) for one in predicted) for name in names}
    totals = [sum(one.values()) + overhead for one in predicted]
    return _ranged(totals, FACTOR_FEW if len(used) < FEW else FACTOR, len(used), stages)


def _scaled(sample: Sample, size: int, wal: int) -> dict[str, float]:
    by_size = (size + LEAST_SIZE) / (sample.size + LEAST_SIZE)
    by_wal = (wal + LEAST_WAL) / (sample.wal + LEAST_WAL)
    factors = {**dict.fromkeys(BY_SIZE, by_size), **dict.fromkeys(BY_WAL, by_wal)}
    return {stage: seconds * factors.get(stage, 1.0) for stage, seconds in sample.seconds.items()}


def _ranged(totals: Sequence[float], factor: float, measured: int, stages: Mapping[str, float]) -> Estimate:
    likely = median(totals)
    spread = quantiles(totals, n=10, method="inclusive") if len(totals) > 1 else [likely]
    return Estimate(likely, min(spread[0], likely / factor), max(spread[-1], likely * factor), measured, stages)
