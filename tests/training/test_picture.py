from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tasks.training.picture import importance_figure


def bar_widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]


def test_the_greatest_gain_is_on_top_and_shares_sum_to_a_hundred() -> None:
    axes = importance_figure({"price": 1.0, "age": 3.0}, title="click_30m").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["price", "age"]
    assert bar_widths(axes) == [25.0, 75.0]


def test_of_many_features_the_thirty_greatest_are_shown() -> None:
    axes = importance_figure({f"f{n}": float(n) for n in range(50)}, title="many").axes[0]
    assert len(axes.patches) == 30


def test_a_model_that_used_nothing_has_a_picture_too() -> None:
    assert bar_widths(importance_figure({"price": 0.0}, title="none").axes[0]) == [0.0]
