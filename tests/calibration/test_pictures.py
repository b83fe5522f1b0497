"""The reliability picture is drawn for any labels that can be observed."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest

from tasks.calibration.pictures import (
    JOINTS,
    MOST_SEGMENTS,
    Frame,
    draw_calibration,
    draw_joint,
    draw_large,
    draw_small,
    format_ratio,
    joint_picture,
    reliability_figure,
    segments_figure,
)
from tasks.calibration.reliability import Curve, reliability_curve
from tasks.evaluation.observations import Observations
from tasks.evaluation.resampling import Clusters
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE
from tasks.reports.charts import Drawing, Mark
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tests.feeds.mini import Retrained
from tests.reports.drawings import find, points_of, sides_of, words_of

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "desc", "style", "rect", "text", "path", "circle"}
N = 3000
RNG = np.random.default_rng(0)
TRUTH = RNG.beta(1, 6, N)
SOURCE = np.array(["ads", "feed", "mail"])[RNG.integers(3, size=N)]
CATEGORY = np.array([f"c{i}" for i in range(14)])[RNG.integers(14, size=N)]
HARMED = SOURCE == "mail"
OUTCOMES = RNG.random(N) < np.where(HARMED, np.minimum(1, 2 * TRUTH), TRUTH)


def rows(
    calibrated: npt.ArrayLike,
    outcomes: Sequence[float] | npt.NDArray[Any],
    users: npt.ArrayLike | None = None,
    segments: Mapping[str, npt.ArrayLike] | None = None,
) -> Observations:
    who = np.arange(len(outcomes)) if users is None else users
    return Observations(outcomes, calibrated, who, who, segments or {})


def figure_of(rate: float, n: int = 4000) -> Drawing:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 1 / rate - 1, n)
    outcomes = rng.random(n) < truth
    return reliability_figure(truth**1.2, rows(truth, outcomes, np.arange(n) % 300), title="purchase_7d")


def scale_of(figure: Drawing, tone: str, side: str) -> dict[float, float]:
    """Return the labels of the first axis with their places."""
    labels: dict[float, float] = {}
    for tick in find(figure, "text", "tick"):
        if tone in str(tick.attributes["class"]):
            labels.setdefault(float(tick.words.replace(",", "")), sides_of(tick, side)[0])
    return labels


def curves_of(figure: Drawing, name: str) -> list[Mark]:
    """Return the lines of a curve, without its band and its histogram."""
    return [mark for mark in find(figure, "path", name) if mark.attributes["class"] == name]


@pytest.mark.parametrize(("rate", "logarithmic"), [(0.01, True), (0.3, False)])
def test_rare_outcomes_get_logarithmic_axes(rate: float, logarithmic: bool) -> None:
    figure = figure_of(rate)
    for tone, side in (("middle", "x"), ("end", "y")):
        labels = scale_of(figure, tone, side)
        shown = sorted(at for at in labels.items() if at[1] < 420)[:3]
        steps = np.diff([value for value, _ in shown])
        assert np.allclose(steps, steps[0]) is not logarithmic
    assert words_of(figure, "quiet")[0].startswith("before: observed / predicted")


@pytest.mark.parametrize("outcomes", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
def test_thin_and_one_sided_labels_are_drawn_too(outcomes: list[int]) -> None:
    figure = reliability_figure(
        [0.01, 0.2, 0.02, 0.02], rows([0.1, 0.3, 0.2, 0.2], outcomes), title="hide_7d"
    )
    ET.fromstring(text := figure.to_svg())  # noqa: S314 - our own
    numbers = text.partition("</style>")[2]
    assert len(re.findall(r"[\d.]+", numbers)) > 100
    assert not re.search("nan|inf", numbers)


def test_a_bin_without_an_outcome_is_a_mark_at_the_foot_of_logarithmic_axes() -> None:
    outcomes = np.zeros(1000)
    outcomes[-20:] = 1
    figure = reliability_figure(None, rows(np.linspace(0.001, 0.04, 1000), outcomes), title="hide_7d")
    _, triangle = curves_of(figure, "after")
    assert str(triangle.attributes["d"]).endswith("h8l-4,7z")
    # half of the predicted sum lies above 0.0283: the middle between it and 0.04
    assert [dot.words.split(",")[0] for dot in find(figure, "circle")] == ["predicted 0.0341"]


def test_without_what_was_before_one_diagram_is_drawn() -> None:
    figure = reliability_figure(None, rows([0.1, 0.3], [0, 1]), title="return_30d")
    assert (len(find(figure, "path", "diagonal")), len(find(figure, "path", "bars"))) == (1, 1)
    assert words_of(figure, "quiet")[0] == "observed / predicted not measurable"


def test_a_calibrated_bin_lies_on_the_diagonal() -> None:
    figure = reliability_figure(
        None, rows([0.1] * 10 + [0.5] * 10, [1] + [0] * 9 + [1, 0] * 5), title="click"
    )
    (x1, y1), (x2, y2) = points_of(find(figure, "path", "diagonal")[0])
    (curve,) = curves_of(figure, "after")
    assert len(points_of(curve)) == 2
    for x, y in points_of(curve):
        assert y == pytest.approx(y1 + (y2 - y1) * (x - x1) / (x2 - x1), abs=0.2)


def test_segments_that_look_least_calibrated_are_drawn_first_and_the_rest_is_counted() -> None:
    figure = segments_figure(
        TRUTH, rows(TRUTH, OUTCOMES, segments={"source": SOURCE, "category": CATEGORY}), title="click"
    )
    assert figure is not None
    assert figure.title == "click: 12 of 17 segment values"
    assert len(find(figure, "path", "diagonal")) == MOST_SEGMENTS
    assert words_of(figure, "quiet")[1] == "source=mail"
    assert figure.about.startswith("source=mail: ")


def test_segments_without_both_outcomes_are_not_drawn() -> None:
    assert (
        segments_figure([0.1, 0.2], rows([0.1, 0.2], [1, 0], segments={"source": ["a", "b"]}), title="click")
        is None
    )


def test_a_value_head_is_drawn_in_its_own_unit() -> None:
    seconds = np.where(OUTCOMES, RNG.exponential(40.0, N), 0.0)
    figure = reliability_figure(TRUTH * 30, rows(TRUTH * 40, seconds), title="watch_seconds")
    assert figure.title.startswith(f"watch_seconds: {int(OUTCOMES.sum())} values above 0 in 3,000")
    assert max(scale_of(figure, "end", "y")) > 1
    assert "predicted, in the unit of the value" in words_of(figure, "quiet")
    assert segments_figure(
        TRUTH * 30, rows(TRUTH * 40, seconds, segments={"source": SOURCE}), title="watch_seconds"
    )


def test_pictures_are_small_enough_for_a_page_of_many_tasks() -> None:
    whole = reliability_figure(TRUTH**1.2, rows(TRUTH, OUTCOMES), title="click")
    parts = segments_figure(TRUTH**1.2, rows(TRUTH, OUTCOMES, segments={"category": CATEGORY}), title="click")
    assert parts is not None
    assert sum(len(figure.to_svg()) for figure in (whole, parts)) < 50_000


def test_a_picture_is_one_file_that_loads_nothing_whatever_segments_are_called() -> None:
    names = np.where(HARMED, "<script>&\x00", "mail\N{RIGHT-TO-LEFT OVERRIDE}")
    figure = segments_figure(TRUTH, rows(TRUTH, OUTCOMES, segments={"<b>": names}), title="</title>")
    assert figure is not None
    text = figure.to_svg()
    drawn = ET.fromstring(text)  # noqa: S314 - our own
    assert drawn.findtext(f"{SVG}title") == "</title>: 2 of 2 segment values"
    assert {element.tag for element in drawn.iter()} == {f"{SVG}{name}" for name in ELEMENTS}
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "url(" not in text


def test_long_names_lose_their_middle_and_keep_their_end() -> None:
    names = np.where(HARMED, "garden furniture of wood, not painted", "garden furniture of wood, painted")
    figure = segments_figure(TRUTH, rows(TRUTH, OUTCOMES, segments={"category": names}), title="click")
    assert figure is not None
    text = figure.to_svg()
    assert "category=garden f…ood, not painted<" in text
    assert "category=garden f…of wood, painted<" in text


def test_every_point_and_band_lies_within_its_diagram() -> None:
    for rate in (0.01, 0.3):
        figure = figure_of(rate)
        for name, left in (("before", 76), ("after", 436)):
            for mark in (*find(figure, "circle", name), *find(figure, "path", name)):
                if "bars" in str(mark.attributes["class"]) or "h8" in str(mark.attributes.get("d")):
                    continue
                for x, y in points_of(mark):
                    assert left <= x <= left + 340
                    assert 62 <= y <= 352


def curve_of(predictions: "np.typing.NDArray[np.float64]") -> Curve:
    size = len(predictions)
    happened = (np.arange(size) % 3 == 0).astype(float)
    return reliability_curve(predictions, happened, Clusters(np.arange(size), size, "users"))


def test_a_frame_holds_every_bin_of_every_curve_and_begins_at_nothing() -> None:
    curves = [curve_of(np.linspace(0.01, top, 200)) for top in (0.2, 0.8)]
    frame = Frame.around(curves, rare=False, binary=True)
    assert frame.x == frame.y
    assert frame.x[0] == 0
    shown = [
        *(mean for one in curves for mean in one.predicted),
        *(r.value for c in curves for r in c.observed),
    ]
    assert max(shown) < frame.x[1]


def test_of_rare_outcomes_both_axes_are_logarithmic_and_end_at_one_at_most() -> None:
    frame = Frame.around([curve_of(np.geomspace(0.001, 0.9, 300))], rare=True, binary=True)
    assert 0 < frame.x[0] < frame.x[1] <= 1
    assert 0 < frame.y[0] < frame.y[1] <= 1


def test_without_any_prediction_above_zero_there_is_still_a_frame() -> None:
    frame = Frame.around([], rare=True, binary=True)
    assert (frame.rare, frame.x[0]) == (False, 0)
    assert frame.x[1] > 0


def test_every_row_is_counted_in_one_bar_also_beyond_the_frame() -> None:
    rows, edges = Frame((0.01, 0.1), (0.01, 0.1), rare=True, binary=True).count(np.array([0.0, 0.05, 0.9]))
    assert rows.sum() == 3
    assert (rows[0], rows[-1]) == (1, 1)
    assert np.allclose(edges[1:] / edges[:-1], edges[1] / edges[0])


PAIR = {name: curve_of(np.linspace(0.01, 0.5, 200) * of) for name, of in (("before", 0.5), ("after", 1.0))}
FRAME = Frame.around(list(PAIR.values()), rare=False, binary=True)


def places_of(figure: Drawing, side: str) -> list[list[float]]:
    """Return the places of the lines of each grid, across (V) or up (H), in the order of the diagrams."""
    grids = [str(grid.attributes["d"]) for grid in find(figure, "path", "grid")][::2]
    pattern = r"M([\d.]+),[\d.]+V" if side == "across" else r"M[\d.]+,([\d.]+)H"
    return [[float(at) for at in re.findall(pattern, grid)] for grid in grids]


def test_two_diagrams_share_their_axes_and_the_left_one_names_the_upright() -> None:
    figure = draw_large("click", PAIR, FRAME)
    up, across = places_of(figure, "up"), places_of(figure, "across")
    assert up[0] == up[2]
    assert [at + 360 for at in across[0]] == across[2]
    assert across[0] == across[1]
    assert {sides_of(tick, "x") for tick in find(figure, "text", "end")} == {(70.0,)}
    assert {sides_of(tick, "y") for tick in find(figure, "text", "middle") if tick.words == "0"} == {(449.0,)}
    assert [bars.attributes["class"] for bars in find(figure, "path", "bars")] == [
        "before bars",
        "after bars",
    ]


def test_small_diagrams_stand_four_in_a_row_and_the_lowest_of_each_column_is_named() -> None:
    figure = draw_small("click", {(f"source={n}", "1.00"): PAIR for n in range(6)}, FRAME)
    corners = [points_of(diagonal)[0] for diagonal in find(figure, "path", "diagonal")]
    lefts, bottoms = [x for x, _ in corners], [y for _, y in corners]
    assert lefts == [60, 272, 484, 696, 60, 272]
    named = [sides_of(tick, "x", "y") for tick in find(figure, "text", "middle") if tick.words == "0"]
    below = [(x, y + 15) for x, y in corners]
    assert named == below[2:]
    upright = [sides_of(tick, "y")[0] - 4 for tick in find(figure, "text", "end") if tick.words == "0"]
    assert upright == [bottoms[0], bottoms[4]]
    assert max(bottoms) < figure.height - 30
    assert max(lefts) + 198 <= figure.width


def test_of_segments_only_the_calibrated_curve_has_a_band() -> None:
    figure = draw_small("click", {("source=ads", "1.00"): PAIR}, FRAME)
    assert [band.attributes["class"] for band in find(figure, "path", "band")] == ["after band"]
    (rows,) = find(figure, "path", "rows")
    assert str(rows.attributes["d"]).startswith("M")


def test_a_ratio_of_too_little_data_cannot_be_told() -> None:
    assert format_ratio(UNKNOWN_ESTIMATE) == "not measurable"


def test_the_dossier_shows_the_pictures_of_calibrators_and_of_joints(first_retrain: Retrained) -> None:
    page = Path(first_retrain.result.dossier).read_text(encoding="utf-8")
    for caption in ("click_30m, calibrator 1", "click_30m, calibrator 1, by segment"):
        assert f"<figcaption>{caption}</figcaption>" in page
    assert "<figcaption>return_5d, joint along its chain</figcaption>" in page
    assert "click_30m, joint" not in page
    assert len(page) < 1_000_000


def test_without_a_known_row_nothing_is_drawn(tmp_path: Path) -> None:
    with Store.open(tmp_path).runs.step(StepKey("feed", step="calibrate", inputs="x")) as run:
        nothing = np.empty(0)
        draw_calibration(run, "click", nothing, Observations(nothing, nothing, [], []))
        draw_joint(run, "back", np.array([np.nan]), np.array([0.1]), ["u"])
    assert Store.open(tmp_path).runs.read_pictures(run.run_id) == {}
    assert Store.open(tmp_path).runs.read_pictures(run.run_id, JOINTS) == {}


def test_a_picture_comes_back_as_it_was_drawn(tmp_path: Path) -> None:
    with Store.open(tmp_path).runs.step(StepKey("feed", step="calibrate", inputs="x")) as run:
        draw_joint(run, "click", np.array([0.0, 1.0]), np.array([0.1, 0.1]), ["u", "v"])
    ((path, drawn),) = Store.open(tmp_path).runs.read_pictures(run.run_id, JOINTS).items()
    assert path == joint_picture("click")
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314 - our own
    assert Store.open(tmp_path).runs.read_pictures(run.run_id) == {}
