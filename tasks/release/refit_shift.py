"""Whether refitted models may stand in for those that were tested: the shift of their predictions, judged.

::

    shift, on the whole and by segment      all at most the bound   pass
                                            all above it            block
                                            across                  inconclusive

The shift (``tasks/evaluation/shift.py``) is a share of the tested models' mean prediction, and the bound the
larger of what the surface declares and of what chance makes of so many positives.
"""

from collections.abc import Iterator, Mapping

from tasks.evaluation.release_evidence import RefitEvidence
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Outcome, Verdict, judge


def judge_unrepeated(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Warn of each task whose recipe could not be repeated; ``found`` says why by task."""
    for task, why in found.items():
        yield Verdict(
            gate="model",
            subject=Subject("refit", task=task),
            segment=ALL,
            outcome=Outcome.WARN,
            threshold=Threshold(words="repeated on the newest days"),
            observed=None,
            reason=f"what was tested is served. {why}",
            evidence=run,
        )


def judge_refit(refit: RefitEvidence | None, *, run: str) -> Iterator[Verdict]:
    """Judge each shift; nothing where nothing is refitted."""
    if refit is None:
        return
    for one in refit.shifts:
        yield Verdict(
            gate="model",
            subject=Subject("refit_shift", task=one.task),
            segment=one.segment,
            outcome=judge(one.shift, high=one.bound),
            threshold=Threshold(high=one.bound),
            observed=one.shift,
            reason=f"what is served against release {refit.tested}, which was tested",
            evidence=run,
        )
