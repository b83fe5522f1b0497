"""Terms of a utility that decide nothing or all: their share of its variance within a request.

::

    share = sum of cov(term, utility) / sum of var(utility), over requests and their candidates

    below 1 %     the weight might as well not be there, whatever its size says
    above 90 %    a ranker of one objective, whatever else the policy names

Both are warnings with evidence: a policy may mean it, and whoever approves it should know.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.subjects import Threshold
from tasks.evaluation.verdicts import Outcome, Verdict

LEAST_SHARE: Final = 0.01
"""Share of the variance below which a term decides nearly nothing."""
MOST_SHARE: Final = 0.9
"""Share of the variance above which a term decides nearly all."""


_THRESHOLD: Final = Threshold(
    words=f"{LEAST_SHARE:.0%} to {MOST_SHARE:.0%} of the utility's variance within a request"
)


def judge_components(measured: Iterable[Measured], *, run: str) -> Iterator[Verdict]:
    """Yield a warning for every term that decides nearly nothing or nearly all.

    Parameters
    ----------
    measured : metrics of a policy; those that are no share of a component are passed over.
    run : the MLflow run that the figures come from.
    """
    for one in measured:
        if one.subject.metric != MetricKind.COMPONENT_SHARE or one.policy is None or one.reason:
            continue
        if abs(one.policy.value) < LEAST_SHARE:
            yield _warning(one, "nothing", run)
        elif abs(one.policy.value) > MOST_SHARE:
            yield _warning(one, "all", run)


def _warning(measured: Measured, decided: str, run: str) -> Verdict:
    return Verdict(
        gate="decision",
        subject=measured.subject,
        segment=measured.segment,
        outcome=Outcome.WARN,
        threshold=_THRESHOLD,
        observed=measured.policy,
        reason=f"it decides nearly {decided}",
        evidence=run,
    )
