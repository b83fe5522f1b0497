"""Turn what the release step reports in addition to metrics into verdicts.

::

    reused        a task that was not trained reuses the champion's model: a warning with the reason
    unmeasured    a joint without an unbiased figure, as its factor models saw its test days: inconclusive
    proxies       gap of the top tenth      all above 0    pass
                                            all below 0    warn: the best of the proxy is worse than the rest
                                            across         warn: inconclusive
    refit         shift, overall and by segment   all at most its limit    pass
                                                  all above it             block
                                                  across                   inconclusive
    shared trunk  rise against the trees          above 0 throughout       warn: worse than the trees
                                                  else                     pass
    inputs        a column that changed after a head was trained
                      a feature with over 5 % of the gain of a head that decides the order     block
                      a value column, or one of a context or multiplier, of the policy         block
                      any other                                                        warn

A trunk is compared with the trees only: training a network for each task as well would take as long as the
trunk.

Training days are compared with the calibration, test and newest days, and in shadow with served features
(`tasks.release.inputs`). A reused head is compared from its own training days on. The freshness gate limits
the age of reused models. A proxy never holds a release; it informs the choice of the proxy's weight.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from tasks.evaluation.evidence import HeadInputs, HeadModels, InputChange
from tasks.evaluation.release_evidence import ProxyEvidence, RefitEvidence
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict, evaluate_interval
from tasks.reports.numbers import format_counted, format_number, format_share


def evaluate_unrepeated(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Warn of each task whose recipe could not be repeated; ``found`` gives the reason by task."""
    for task, why in found.items():
        reason = f"what was tested is served. {why}"
        subject = Subject("refit", task=task)
        yield _unmet("model", subject, Outcome.WARN, "repeated on the newest days", reason, run)


def evaluate_refit(refit: RefitEvidence | None, *, run: str) -> Iterator[Verdict]:
    """Evaluate each shift; yields nothing without a refit."""
    if refit is None:
        return
    for one in refit.shifts:
        yield Verdict(
            gate="model",
            subject=Subject("refit_shift", task=one.task),
            segment=one.segment,
            outcome=evaluate_interval(one.shift, high=one.bound),
            threshold=Threshold(high=one.bound),
            observed=one.shift,
            reason=f"what is served against release {refit.tested}, which was tested",
            evidence=run,
        )


def evaluate_trunks(found: Mapping[str, HeadModels], *, run: str) -> Iterator[Verdict]:
    """Warn of each head that predicts with a shared trunk and is significantly worse than its trees."""
    for task, models in found.items():
        rise = models.estimate(models.model, rise=True)
        if models.model == "trees" or rise is None:
            continue
        metric = next(row.subject.metric for row in models.figures if row.subject.baseline)
        yield Verdict(
            gate="model",
            subject=Subject(metric, task=task, feature=models.model, baseline="trees"),
            segment=ALL,
            outcome=Outcome.WARN if rise.low > 0 else Outcome.PASS,
            threshold=Threshold(words="not shown to be worse than the trees"),
            observed=rise,
            reason=f"against its trees alone; surface.yaml requires {models.asked}",
            evidence=run,
        )


def evaluate_reused(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Warn of each task that was to be trained and reuses the champion's model."""
    for task, why in found.items():
        reason = f"reuses the champion's model. {why}"
        yield _unmet("data", Subject("trained", task=task), Outcome.WARN, "retrained", reason, run)


def evaluate_unmeasured(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Report each task whose joint is not measurable."""
    wanted = "measured with factors from before its test days"
    for task, why in found.items():
        yield _unmet("calibration", Subject("joint", task=task), Outcome.INCONCLUSIVE, wanted, why, run)


def _unmet(gate: str, subject: Subject, outcome: Outcome, wanted: str, reason: str, run: str) -> Verdict:
    """Return a verdict without a figure, for a requirement that was not met."""
    return Verdict(
        gate=gate,
        subject=subject,
        segment=ALL,
        outcome=outcome,
        threshold=Threshold(words=wanted),
        observed=None,
        reason=reason,
        evidence=run,
    )


def evaluate_proxies(proxies: Sequence[ProxyEvidence], *, run: str) -> Iterator[Verdict]:
    """Evaluate each pair of proxy and outcome by the gap of its top tenth."""
    for proxy in proxies:
        outcome, reason = evaluate_gap(proxy.gap, worst=proxy.worst_at_top)
        yield Verdict(
            gate="proxies",
            subject=Subject("proxy", task=proxy.slow, feature=proxy.fast),
            segment=ALL,
            outcome=outcome,
            threshold=Threshold(words="top tenth >= the rest"),
            observed=proxy.gap,
            reason=reason,
            evidence=run,
        )


def evaluate_gap(gap: Estimate, *, worst: bool) -> tuple[Outcome, str]:
    """Evaluate how much better a proxy's top tenth is than the rest; ``worst``: it is the worst tenth."""
    match evaluate_interval(gap, low=0.0, action="warn"):
        case Outcome.WARN:
            where = "the worst of all tenths" if worst else "worse than the rest"
            return Outcome.WARN, f"the top tenth of the proxy is {where}"
        case Outcome.INCONCLUSIVE:
            return Outcome.WARN, "too little data to decide whether the top tenth of the proxy is better"
        case outcome:
            return outcome, ""


GATE: Final = "inputs"
_MUCH: Final = 0.05
"""Share of a head's gain above which the head depends on a feature."""


def evaluate_inputs(
    inputs: Sequence[HeadInputs], weighted: Collection[str], *, where: str, run: str
) -> Iterator[Verdict]:
    """Evaluate each changed feature; a single verdict reports that none changed.

    Parameters
    ----------
    weighted : tasks that the order of candidates depends on.
    where : metric of the verdicts' subjects, which names the compared data.
    run : the run that compared the features.
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
    """Evaluate a feature by the head that depends on it most; weighted heads come first."""
    heads = [head for head in inputs if any(change.feature == feature for change in head.changes)]
    worst = max(heads, key=lambda head: (head.task in weighted, head.gains.get(feature, 0.0)))
    share, weighs = worst.gains.get(feature, 0.0), feature in worst.weighing
    changes = [change for change in worst.changes if change.feature == feature]
    first, said = changes[0], "; ".join(map(_say, changes))
    carries = "" if worst.task in weighted else ", which carries no weight"
    gain = f"it has {format_share(share)} of the gain of {worst.task}{carries}"
    depends = "the utility policy weighs predictions by it" if weighs else gain
    blocks = weighs or (worst.task in weighted and share > _MUCH)
    outcome, limit = Outcome.BLOCK if blocks else Outcome.WARN, Threshold(high=first.bound)
    observed = Estimate(first.observed, first.observed, first.observed, len(heads))
    return Verdict(GATE, subject, ALL, outcome, limit, observed, f"{said}; {depends}", run)


def _say(change: InputChange) -> str:
    seen = change.observed
    what = {
        "scale": f"the median differs by a factor of {format_number(seen)}",
        "constant": "it is constant",
        "nulls": f"the share of nulls differs by {format_share(seen)}",
        "empty": f"the share of nulls and zeros differs by {format_share(seen)}",
        "unseen": f"{format_share(seen)} of rows hold categories that training never saw",
        "distribution": f"its distribution is {format_number(seen)} bits away",
    }[change.kind]
    return f"{change.rows}: {what} (limit {format_number(change.bound)})"
