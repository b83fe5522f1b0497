"""Draws the proxies of a release for the dossier: the slow outcome along the tenths of the fast one.

::

    slow outcome |              o      o  mean of a tenth with its interval; the last has the verdict's colour
                 | - - - o - - - - -   -  mean of all rows
                 |  o  o
                 +---------------------  mean prediction of the fast task, a tenth each
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.evaluation.proxies import Tenth
from tasks.evaluation.release_evidence import ProxyEvidence
from tasks.promotion.gates.reports import judge_gap
from tasks.reports.numbers import format_number

_WIDTH, _HEIGHT, _LEFT, _TOP = 560, 200, 60, 16


@dataclass(frozen=True)
class TenthMark:
    """One tenth: where its mean and the ends of its interval are drawn, and the class of its colour."""

    x: float
    y: float
    interval: tuple[float, float] | None
    predicted: float
    tone: str


@dataclass(frozen=True)
class ProxyFigure:
    """A declared pair with its drawing, in pixels from the upper left; no mark where no row knows both."""

    proxy: ProxyEvidence
    marks: Sequence[TenthMark] = ()
    mean: float = 0.0
    ticks: Sequence[tuple[float, str]] = ()
    width: int = _WIDTH
    foot: int = _TOP + _HEIGHT
    left: int = _LEFT

    @property
    def rows(self) -> int:
        """Rows where both outcomes are known."""
        return sum(tenth.rows for tenth in self.proxy.tenths)

    @property
    def positives(self) -> int:
        """Slow outcomes other than 0."""
        return sum(tenth.positives for tenth in self.proxy.tenths)


def draw_proxy(proxy: ProxyEvidence) -> ProxyFigure:
    """Draw one declared pair."""
    if not proxy.tenths:
        return ProxyFigure(proxy)
    outcomes = [tenth.outcome for tenth in proxy.tenths]
    ceiling = max(max(of.value, of.high if of.known else 0.0) for of in outcomes) or 1.0
    last = len(outcomes) - 1
    tone = judge_gap(proxy.gap, worst=proxy.worst_at_top)[0].value
    step = (_WIDTH - _LEFT) / len(outcomes)
    return ProxyFigure(
        proxy,
        marks=[
            _mark(tenth, round(_LEFT + (n + 0.5) * step, 1), ceiling, tone if n == last else "")
            for n, tenth in enumerate(proxy.tenths)
        ],
        mean=_height(proxy.mean.value, ceiling),
        ticks=[(_height(value, ceiling), format_number(value)) for value in (0.0, ceiling)],
    )


def _mark(tenth: Tenth, x: float, ceiling: float, tone: str) -> TenthMark:
    of = tenth.outcome
    interval = (_height(of.low, ceiling), _height(of.high, ceiling)) if of.known else None
    return TenthMark(x, _height(of.value, ceiling), interval, tenth.predicted, tone)


def _height(value: float, ceiling: float) -> float:
    return round(_TOP + _HEIGHT * (1 - value / ceiling), 1)
