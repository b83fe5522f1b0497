"""A proxy in doubt warns and holds nothing."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.proxies import proxy_report
from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import Promote, decide_release
from tasks.release.proxies import judge_proxies

RNG = np.random.default_rng(2)
N = 5000
CLICK = RNG.random(N)
USERS = RNG.integers(300, size=N)


def told(rate: Any, *, cost: bool = False, rows: int = N) -> ProxyEvidence:
    slow = (RNG.random(N) < rate).astype(float)[:rows]
    report = proxy_report(CLICK[:rows], slow, USERS[:rows], cost=cost)
    days = (date(2026, 1, 1), date(2026, 1, 7))
    return ProxyEvidence(fast="click", slow="watched", days=days, cost=cost, learned=False, **vars(report))


def judged(found: ProxyEvidence) -> Verdict:
    [verdict] = judge_proxies([found], run="r1")
    return verdict


def test_a_proxy_that_leads_up_passes() -> None:
    verdict = judged(told(0.1 + 0.5 * CLICK))
    assert (verdict.outcome, verdict.subject, verdict.evidence) == (
        Outcome.PASS,
        Subject("proxy", task="watched", feature="click"),
        "r1",
    )
    assert verdict.observed is not None
    assert verdict.observed.low > 0


def test_a_proxy_whose_best_is_the_worst_warns_and_says_so() -> None:
    verdict = judged(told(np.where(CLICK > 0.9, 0.05, 0.4)))
    assert verdict.outcome is Outcome.WARN
    assert verdict.reason == "the top tenth of the proxy is the worst of all tenths"


def test_a_proxy_whose_best_is_below_the_rest_warns() -> None:
    verdict = judged(told(np.where((CLICK < 0.1), 0.02, np.where(CLICK > 0.9, 0.15, 0.4))))
    assert verdict.reason == "the top tenth of the proxy is worse than the rest"


def test_a_cost_that_rises_with_its_proxy_warns() -> None:
    assert judged(told(0.1 + 0.5 * CLICK, cost=True)).outcome is Outcome.WARN


@pytest.mark.parametrize("rows", [0, 40])
def test_too_little_data_warns_and_never_passes(rows: int) -> None:
    verdict = judged(told(np.full(N, 0.1), rows=rows))
    assert verdict.outcome is Outcome.WARN
    assert verdict.reason.startswith("too little data")


def test_no_proxy_holds_a_release() -> None:
    verdicts = [judged(told(np.where(CLICK > 0.9, 0.05, 0.4))), judged(told(np.full(N, 0.1), rows=0))]
    assert isinstance(decide_release(verdicts, inconclusive="hold"), Promote)
