"""The picture of what a model's trees used."""

from collections.abc import Mapping
from typing import Final

from matplotlib.figure import Figure

_SHOWN: Final = 30


def importance_figure(gains: Mapping[str, float], *, title: str) -> Figure:
    """Draw each feature's share of the total gain, greatest first; the least of many are left out.

    Parameters
    ----------
    gains : total gain by feature.

    Examples
    --------
    >>> figure = importance_figure({"price": 3.0, "age": 1.0}, title="click")
    >>> [float(bar.get_width()) for bar in figure.axes[0].patches]
    [25.0, 75.0]
    """
    total = sum(gains.values()) or 1.0
    shown = sorted(gains.items(), key=lambda item: item[1], reverse=True)[:_SHOWN][::-1]
    figure = Figure(figsize=(7, 1 + 0.25 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in shown], [100 * gain / total for _, gain in shown], color="#4c72b0")
    axes.set_xlabel("share of the total gain, %")
    axes.set_title(title)
    return figure
