"""What a simulation found, as the gate, the dossier and the run's metrics read it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.evaluation.evidence import estimate_to_json
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Verdict
from tasks.replay.replay_policies import Measured


@dataclass(frozen=True)
class Findings:
    """What a replay found: verdicts of the guardrails, every metric, and further policies by name."""

    baseline: str
    verdicts: list[Verdict]
    measured: list[Measured]
    others: dict[str, list[Measured]]

    @property
    def expected_utility(self) -> float:
        """That of the policy on the whole; NaN where it could not be measured."""
        found = (one.policy.value for one in self.measured if one.metric == "expected_utility" and one.policy)
        return next(found, math.nan)

    def to_json(self) -> dict[str, Any]:
        """Return what the gate and the dossier read."""
        return {
            "guardrails": [verdict.to_json() for verdict in self.verdicts],
            "headline": _headline(self.measured),
            "measured": [_plain(one) for one in self.measured],
            "others": {name: [_plain(one) for one in rows] for name, rows in self.others.items()},
        }


def _headline(measured: Sequence[Measured]) -> dict[str, Any]:
    """Return expected utility and rates on the whole, policy beside baseline."""
    return {
        one.metric: {
            "policy": estimate_to_json(one.policy),
            "baseline": None if one.baseline is None else estimate_to_json(one.baseline),
            "relative": None if one.relative is None else estimate_to_json(one.relative),
        }
        for one in measured
        if one.segment == ALL
        and one.policy is not None
        and (one.metric == "expected_utility" or one.metric.endswith("_rate"))
    }


def _plain(measured: Measured) -> dict[str, Any]:
    figures = {
        name: None if (found := getattr(measured, name)) is None else estimate_to_json(found)
        for name in ("policy", "baseline", "relative")
    }
    return {**asdict(measured), **figures}
