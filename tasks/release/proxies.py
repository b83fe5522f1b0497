"""The proxies of a release: the verdict on each declared pair.

::

    gap of the top tenth      all above 0    pass
                              all below 0    warn: the best of the proxy is worse than the rest (R23, F10)
                              across         warn: it is inconclusive

A proxy in doubt holds no release: it is nobody's bound, but what people are to know before they weigh it.
"""

from collections.abc import Iterator, Sequence

from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict, judge


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
