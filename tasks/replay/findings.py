"""What a simulation found, as the gate, the dossier and the run's metrics read it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.replay_evidence import Headline, Measured
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Verdict

_HEADLINE = frozenset({MetricKind.OBSERVED_UTILITY, MetricKind.EXPECTED_UTILITY, MetricKind.RATE})


@dataclass(frozen=True)
class Findings:
    """What a replay found: verdicts of primary and guardrails, every metric, and further policies by name.

    ``others``, ``judged``: figures and verdicts of further policies beside the same baseline.
    ``believed``: terms of the observed utility that enter by a prediction, with the events that were seen;
    ``left_out``: terms that cannot enter. ``costs``: negative and safety tasks.
    """

    baseline: str
    verdicts: list[Verdict]
    measured: list[Measured]
    others: dict[str, list[Measured]]
    judged: dict[str, list[Verdict]] = field(default_factory=dict)
    believed: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    costs: frozenset[str] = frozenset()

    @property
    def expected_utility(self) -> float:
        """That of the policy on the whole; NaN where it could not be measured."""
        found = (
            m.policy.value
            for m in self.measured
            if m.subject.metric == MetricKind.EXPECTED_UTILITY and m.policy
        )
        return next(found, math.nan)

    @property
    def headline(self) -> dict[str, Headline]:
        """Expected utility and rates on the whole, policy beside baseline."""
        return {
            one.subject.name: Headline(policy=one.policy, baseline=one.baseline, relative=one.relative)
            for one in self.measured
            if one.segment == ALL and one.policy is not None and one.subject.metric in _HEADLINE
        }
