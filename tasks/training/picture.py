"""The picture of what a model's trees used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.reports.charts import Scale, Tick
from tasks.reports.render import render

_SHOWN: Final = 30
_HEAD, _LINE, _FOOT = 38, 22, 40
_BARS: Final = 400
"""Width of the longest bar."""
_LETTERS: Final = 48
"""Letters of a name that are shown."""
_LETTER: Final = 7
"""Width of a letter."""


@dataclass(frozen=True)
class Bar:
    """A feature, its share of the total gain, and where its bar lies."""

    feature: str
    share: float
    y: int
    width: float


@dataclass(frozen=True)
class ImportanceFigure:
    """Bars one below the other, in pixels; they begin at ``left``."""

    title: str
    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    left: int
    width: int
    height: int

    def to_svg(self) -> str:
        """Write the picture as a file of its own."""
        return render("importances.svg.j2", figure=self)


def importance_figure(gains: Mapping[str, float], *, title: str) -> ImportanceFigure:
    """Draw each feature's share of the total gain, greatest first; the least of many are left out.

    Examples
    --------
    >>> figure = importance_figure({"age": 1.0, "price": 3.0}, title="click")
    >>> [(bar.feature, bar.share, bar.width) for bar in figure.bars]
    [('price', 0.75, 400.0), ('age', 0.25, 133.3)]
    """
    total = sum(gains.values()) or 1.0
    shown = sorted(gains.items(), key=lambda item: item[1], reverse=True)[:_SHOWN]
    left = 20 + _LETTER * min(_LETTERS, max(len(name) for name, _ in shown))
    most = shown[0][1] / total or 1.0
    scale = Scale(0.0, 100 * most, left, left + _BARS)
    return ImportanceFigure(
        title=title,
        bars=[
            Bar(name, gain / total, _HEAD + _LINE * n, round(_BARS * gain / total / most, 1))
            for n, (name, gain) in enumerate(shown)
        ],
        ticks=scale.ticks(60),
        left=left,
        width=left + _BARS + 30,
        height=_HEAD + _LINE * len(shown) + _FOOT,
    )
