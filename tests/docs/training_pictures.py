"""Makes the pictures of docs/train.md from what `benchmarks.learning.weighed` measures.

``python -m tests.docs.training_pictures`` writes them anew into docs/pictures; it takes half a minute.
"""

from collections.abc import Mapping

from matplotlib.figure import Figure

from benchmarks.learning.weighed import Told, biased, drift, rare
from tests.docs.pages import DOCS

TRUTH = "the truth itself"


def excess_figure(made: Mapping[str, Mapping[str, Told]]) -> Figure:
    """Draw how far each way's normalized entropy lies above that of the truth; shorter is better.

    Parameters
    ----------
    made : world -> way -> what it said, ``the truth itself`` among the ways.
    """
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    rows = [len(told) - 1 for told in made.values()]
    for axes, (world, told) in zip(figure.subplots(len(made), height_ratios=rows), made.items(), strict=True):
        least = told[TRUTH].entropy
        above = {name: one.entropy - least for name, one in told.items() if name != TRUTH}
        first = next(iter(above.values()))
        colours = ["#4c72b0" if value < first else "#b0b0b0" for value in above.values()]
        bars = axes.barh(list(above)[::-1], list(above.values())[::-1], color=colours[::-1])
        axes.bar_label(bars, fmt="%.3f", padding=3)
        axes.set_title(world, loc="left", fontsize=10)
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("normalized entropy above that of the truth")
    return figure


def main() -> None:
    """Write the picture."""
    made = {"a rare task": rare(), "taste that turns": drift(), "a biased log": biased()}
    excess_figure(made).savefig(DOCS / "pictures" / "training_ways.png", dpi=80)


if __name__ == "__main__":
    main()
