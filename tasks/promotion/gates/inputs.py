"""The gate on inputs: a feature that changed after a head learned from it.

::

    it has over 5 % of the gain of a head that the order depends on    blocks
    any other                                                          a warning

What a release was trained with is compared with its calibrate, test and newest days, and in shadow with what
was served (`tasks.release.inputs`). A head that is reused is compared from its own train days on.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from tasks.evaluation.evidence import HeadInputs, InputChange
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.reports.numbers import format_counted, format_number, format_share

GATE: Final = "inputs"
_MUCH: Final = 0.05
"""Share of a head's gain from which on it depends on a feature."""


def judge_inputs(
    inputs: Sequence[HeadInputs], weighted: Collection[str], *, where: str, run: str
) -> Iterator[Verdict]:
    """Judge each feature that changed; one verdict says so where none did.

    Parameters
    ----------
    weighted : tasks that the order of candidates depends on.
    where : what was compared, as the metric of the subjects.
    run : the run that compared.
    """
    changed = dict.fromkeys(change.feature for head in inputs for change in head.changes)
    for feature in changed:
        yield _changed(feature, inputs, weighted, Subject(where, feature=feature), run)
    if unread := [head for head in inputs if head.reason]:
        reason = "; ".join(f"{head.task}: {head.reason}" for head in unread)
        yield Verdict(GATE, Subject(where), ALL, Outcome.WARN, NO_THRESHOLD, None, reason, run)
    elif not inputs:
        reason = "no feature was compared with the days that heads learned from"
        yield Verdict(GATE, Subject(where), ALL, Outcome.NO_RULE, NO_THRESHOLD, None, reason, run)
    elif not changed:
        count = len({name for head in inputs for name in head.gains})
        reason = f"{format_counted(count, 'feature')} of {format_counted(len(inputs), 'head')}: none changed"
        yield Verdict(GATE, Subject(where), ALL, Outcome.PASS, NO_THRESHOLD, None, reason, run)


def _changed(
    feature: str, inputs: Sequence[HeadInputs], weighted: Collection[str], subject: Subject, run: str
) -> Verdict:
    """Judge a feature by the head that depends on it most, of those that the order depends on first."""
    heads = [head for head in inputs if any(change.feature == feature for change in head.changes)]
    worst = max(heads, key=lambda head: (head.task in weighted, head.gains.get(feature, 0.0)))
    share = worst.gains.get(feature, 0.0)
    changes = [change for change in worst.changes if change.feature == feature]
    first, weighs = changes[0], "" if worst.task in weighted else ", which carries no weight"
    said = "; ".join(map(_say, changes))
    return Verdict(
        gate=GATE,
        subject=subject,
        segment=ALL,
        outcome=Outcome.BLOCK if worst.task in weighted and share > _MUCH else Outcome.WARN,
        threshold=Threshold(high=first.bound),
        observed=Estimate(first.observed, first.observed, first.observed, len(heads)),
        reason=f"{said}; it has {format_share(share)} of the gain of {worst.task}{weighs}",
        evidence=run,
    )


def _say(change: InputChange) -> str:
    seen = change.observed
    what = {
        "scale": f"the median differs by a factor of {format_number(seen)}",
        "constant": "it is constant",
        "nulls": f"the share of nulls differs by {format_share(seen)}",
        "unseen": f"{format_share(seen)} of rows hold categories that training never saw",
        "distribution": f"its distribution is {format_number(seen)} bits away",
    }[change.kind]
    return f"{change.days} days: {what} (limit {format_number(change.bound)})"
