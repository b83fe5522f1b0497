"""A proxy in doubt warns, holds nothing, and is drawn."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.evidence import ProxyEvidence
from tasks.evaluation.proxies import proxy_report
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import Promote, decide_release
from tasks.release.proxies import judge_proxies, proxies_section

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
    assert (verdict.outcome, verdict.subject, verdict.evidence) == (Outcome.PASS, "click for watched", "r1")
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
    assert isinstance(decide_release(verdicts, cannot_tell="hold"), Promote)


def test_the_picture_has_a_mark_for_each_tenth_and_the_colour_of_its_verdict() -> None:
    section = proxies_section([told(np.where(CLICK > 0.9, 0.05, 0.4))])
    assert section.count("<circle") == 10
    assert section.count("class='warn'") == 1
    assert "mean watched (more is better) along the tenths of click's prediction" in section
    assert f"all {N:,} rows" in section


def test_a_pair_without_a_row_says_so_and_no_pair_says_nothing() -> None:
    assert "no row where both are known" in proxies_section([told(np.full(N, 0.1), rows=0)])
    assert proxies_section([]) == ""
