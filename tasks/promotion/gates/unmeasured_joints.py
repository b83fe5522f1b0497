"""Joints that were not measured, since their factors know something of the days that they would be judged on.

A figure of them would flatter the release, so there is none, and here it is said why.
"""

from collections.abc import Iterator, Mapping

from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict


def judge_unmeasured(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Say of each task that its joint is not measurable."""
    for task, why in found.items():
        yield Verdict(
            gate="calibration",
            subject=Subject("joint", task=task),
            segment=ALL,
            outcome=Outcome.INCONCLUSIVE,
            threshold=Threshold(words="measured with factors from before its test days"),
            observed=None,
            reason=why,
            evidence=run,
        )
