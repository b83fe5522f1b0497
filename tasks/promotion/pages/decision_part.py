"""What the decision is made of: what each outcome is worth, what constraints keep off, and who moves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.contracts import SlateSpec, UtilitySpec
from tasks.contracts.effective_policy import EffectivePolicy, default_unit, effective_policies
from tasks.contracts.metrics import MetricKind
from tasks.errors import ContractError
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.subjects import ALL
from tasks.reports.phrases import describe_subject, name_subject, write_change, write_interval
from tasks.reports.words import Vocabulary

_MOST_MOVERS: Final = 10
_EXPOSURE: Final = frozenset({MetricKind.SHARE, MetricKind.NEW_ITEM_EXPOSURE, MetricKind.LONG_TAIL_EXPOSURE})


@dataclass(frozen=True)
class Worths:
    """The effective policies of a release, base first; worth is counted in ``unit``."""

    name: str
    version: int
    unit: str
    policies: tuple[EffectivePolicy, ...]


@dataclass(frozen=True)
class ExposureChange:
    """A share of looks that changes: its metric, its meaning and its figures, as texts."""

    metric: str
    meaning: str
    before: str
    now: str
    change: str


def count_worths(utility: UtilitySpec, slate: SlateSpec) -> Worths | None:
    """Count what each outcome is worth in units of one; None where no outcome can be counted in."""
    unit = default_unit(utility)
    try:
        policies = effective_policies(utility, slate, unit=unit)
    except ContractError:
        return None
    return Worths(utility.policy, utility.version, unit, tuple(policies))


def list_movers(measured: Sequence[Measured]) -> list[Measured]:
    """Return the shares of looks that change most, the greatest change first."""
    shares = [
        one for one in measured if one.subject.metric in _EXPOSURE and one.segment == ALL and _moved(one) > 0
    ]
    return sorted(shares, key=_moved, reverse=True)[:_MOST_MOVERS]


def say_mover(one: Measured, words: Vocabulary) -> ExposureChange:
    """Return a share of examined impressions under the baseline and the release."""
    before, now = (
        "" if seen is None or math.isnan(seen.value) else write_interval(one.subject, seen, words)
        for seen in (one.baseline, one.policy)
    )
    meaning = describe_subject(one.subject, words)
    change = "" if one.relative is None else write_change(one.relative)
    return ExposureChange(name_subject(one.subject, words), meaning, before, now, change)


def _moved(one: Measured) -> float:
    if one.policy is None or one.baseline is None:
        return 0.0
    change = abs(one.policy.value - one.baseline.value)
    return change if math.isfinite(change) else 0.0
