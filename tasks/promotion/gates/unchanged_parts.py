"""Tasks that could not be trained, and whose model of the champion the release keeps, by rule.

The age of what is kept is bounded by the freshness gate; here it is said that and why it was kept.
"""

from collections.abc import Iterator, Mapping

from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict


def judge_kept(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Warn of each task that was to be trained and keeps the champion's model."""
    for task, why in found.items():
        yield Verdict(
            gate="data",
            subject=Subject("trained", task=task),
            segment=ALL,
            outcome=Outcome.WARN,
            threshold=Threshold(words="trained anew"),
            observed=None,
            reason=f"keeps the champion's model. {why}",
            evidence=run,
        )
