"""What the release step reports beside the figures of its tasks, as verdicts.

::

    kept          a task that was not trained keeps the champion's model: a warning with the reason
    unmeasured    a joint whose factors know its test days has no figure, which would flatter it: inconclusive
    proxies       gap of the top tenth      all above 0    pass
                                            all below 0    warn: the best of the proxy is worse than the rest
                                            across         warn: it is inconclusive
    refit         shift, overall and by segment   all at most its bound    pass
                                                  all above it             block
                                                  across                   inconclusive
    shared trunk  rise against the trees          above 0 throughout       warn: shown to be worse
                                                  else                     pass

A trunk is compared with the trees alone: training a network of each single task to compare it with, too,
would take as long as the trunk.

The freshness gate bounds the age of what is kept. A proxy never holds a release; people read it before they
weigh the proxy.
"""

from collections.abc import Iterator, Mapping, Sequence

from tasks.evaluation.head_models import HeadModels
from tasks.evaluation.release_evidence import ProxyEvidence, RefitEvidence
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict, judge


def judge_unrepeated(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Warn of each task whose recipe could not be repeated; ``found`` says why by task."""
    for task, why in found.items():
        reason = f"what was tested is served. {why}"
        subject = Subject("refit", task=task)
        yield _unmet("model", subject, Outcome.WARN, "repeated on the newest days", reason, run)


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


def judge_trunks(found: Mapping[str, HeadModels], *, run: str) -> Iterator[Verdict]:
    """Warn of each head that predicts with a shared trunk and is shown to do worse than its trees."""
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
            reason=f"against its trees alone; surface.yaml asks for {models.asked}",
            evidence=run,
        )


def judge_kept(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Warn of each task that was to be trained and keeps the champion's model."""
    for task, why in found.items():
        reason = f"keeps the champion's model. {why}"
        yield _unmet("data", Subject("trained", task=task), Outcome.WARN, "trained anew", reason, run)


def judge_unmeasured(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Say of each task that its joint is not measurable."""
    wanted = "measured with factors from before its test days"
    for task, why in found.items():
        yield _unmet("calibration", Subject("joint", task=task), Outcome.INCONCLUSIVE, wanted, why, run)


def _unmet(gate: str, subject: Subject, outcome: Outcome, wanted: str, reason: str, run: str) -> Verdict:
    """Return a verdict without a figure, of what was not done as it is wanted."""
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


def judge_proxies(proxies: Sequence[ProxyEvidence], *, run: str) -> Iterator[Verdict]:
    """Judge each pair by the gap of its top tenth."""
    for proxy in proxies:
        outcome, reason = judge_gap(proxy.gap, worst=proxy.worst_at_top)
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


def judge_gap(gap: Estimate, *, worst: bool) -> tuple[Outcome, str]:
    """Judge how much better the top tenth of a proxy is than the rest; ``worst`` of all tenths or not."""
    match judge(gap, low=0.0, action="warn"):
        case Outcome.WARN:
            where = "the worst of all tenths" if worst else "worse than the rest"
            return Outcome.WARN, f"the top tenth of the proxy is {where}"
        case Outcome.INCONCLUSIVE:
            return Outcome.WARN, "too little data to tell whether the top tenth of the proxy is better"
        case outcome:
            return outcome, ""
