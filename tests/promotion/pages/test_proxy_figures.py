"""A proxy is drawn tenth by tenth, the last in the colour of its verdict."""

import math
from datetime import date
from typing import Any

from tasks.evaluation.proxies import Tenth
from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.evaluation.verdicts import Estimate
from tasks.promotion.pages.proxy_figures import TenthMark, draw_proxy

LOW = Tenth(0.1, Estimate(0.2, 0.1, 0.3, 9), rows=5, positives=1)
TOP = Tenth(0.4, Estimate(0.1, math.nan, math.nan, 9), rows=7, positives=2)


def proxy(*tenths: Tenth, **more: Any) -> ProxyEvidence:
    plain = {"fast": "click", "slow": "watched", "days": (date(2026, 1, 1), date(2026, 1, 7)), "cost": False}
    plain |= {"learned": False, "mean": Estimate(0.15, 0.1, 0.2, 9), "gap": Estimate(-0.1, -0.2, -0.05, 9)}
    return ProxyEvidence.model_validate({**plain, "worst_at_top": True, "tenths": tenths, **more})


def test_tenths_stand_side_by_side_below_the_highest_end_of_an_interval() -> None:
    drawn = draw_proxy(proxy(LOW, TOP))
    assert drawn.marks == [
        TenthMark(x=60 + 125, y=82.7, interval=(149.3, 16.0), predicted=0.1, tone=""),
        TenthMark(x=60 + 375, y=149.3, interval=None, predicted=0.4, tone="warn"),
    ]
    assert drawn.mean == 116.0
    assert drawn.ticks == [(216.0, "0"), (16.0, "0.3")]
    assert (drawn.rows, drawn.positives) == (12, 3)


def test_outcomes_that_are_all_0_lie_on_the_ground() -> None:
    nothing = Tenth(0.1, Estimate(0.0, 0.0, 0.0, 9), rows=5, positives=0)
    assert [mark.y for mark in draw_proxy(proxy(nothing)).marks] == [216.0]


def test_where_no_row_knows_both_there_is_no_mark() -> None:
    assert draw_proxy(proxy()).marks == ()
