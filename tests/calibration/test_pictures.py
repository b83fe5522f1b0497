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
    ReliabilityFigure,
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
from tasks.reports.charts import Tick
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tests.feeds.mini import Retrained

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {
    "svg",
    "title",
    "desc",
    "style",
    "rect",
    "text",
    "tspan",
    "g",
    "path",
    "line",
    "polygon",
    "polyline",
    "circle",
}
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


def figure_of(rate: float, n: int = 4000) -> ReliabilityFigure:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 1 / rate - 1, n)
    outcomes = rng.random(n) < truth
    return reliability_figure(truth**1.2, rows(truth, outcomes, np.arange(n) % 300), title="purchase_7d")


def numbers_of(figure: ReliabilityFigure) -> npt.NDArray[np.float64]:
    """Return every number of a drawing; all of them are finite."""
    ET.fromstring(text := figure.to_svg())  # noqa: S314 - our own
    assert "nan" not in text
    assert "inf" not in text
    return np.array(re.findall(r"[\d.]+", text.partition("</style>")[2].replace("..", ".")), dtype=object)


def words_of(ticks: Sequence[Tick]) -> list[float]:
    return [float(tick.words.replace(",", "")) for tick in ticks]


@pytest.mark.parametrize(("rate", "logarithmic"), [(0.01, True), (0.3, False)])
def test_rare_outcomes_get_logarithmic_axes(rate: float, logarithmic: bool) -> None:
    before, after = figure_of(rate).diagrams
    for ticks in (before.frame.x_ticks, before.frame.y_ticks, after.frame.x_ticks):
        steps = np.diff(words_of(ticks))
        assert np.allclose(steps, steps[0]) is not logarithmic
    assert before.heading[0].startswith("before: observed / predicted")
    assert figure_of(rate).strips[0].frame.x_ticks == before.frame.x_ticks


@pytest.mark.parametrize("outcomes", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
def test_thin_and_one_sided_labels_are_drawn_too(outcomes: list[int]) -> None:
    figure = reliability_figure(
        [0.01, 0.2, 0.02, 0.02], rows([0.1, 0.3, 0.2, 0.2], outcomes), title="hide_7d"
    )
    assert numbers_of(figure).size > 100


def test_a_bin_without_an_outcome_is_a_mark_at_the_foot_of_logarithmic_axes() -> None:
    outcomes = np.zeros(1000)
    outcomes[-20:] = 1
    figure = reliability_figure(None, rows(np.linspace(0.001, 0.04, 1000), outcomes), title="hide_7d")
    (curve,) = figure.diagrams[0].curves
    assert len(curve.none) == 1
    # half of the predicted sum lies above 0.0283: the middle between it and 0.04
    assert [point.words.split(",")[0] for point in curve.points] == ["predicted 0.0341"]


def test_without_what_was_before_one_diagram_is_drawn() -> None:
    figure = reliability_figure(None, rows([0.1, 0.3], [0, 1]), title="return_30d")
    assert (len(figure.diagrams), len(figure.strips)) == (1, 1)
    assert figure.diagrams[0].heading == ("observed / predicted not measurable",)


def test_a_calibrated_bin_lies_on_the_diagonal() -> None:
    figure = reliability_figure(
        None, rows([0.1] * 10 + [0.5] * 10, [1] + [0] * 9 + [1, 0] * 5), title="click"
    )
    (diagram,) = figure.diagrams
    x1, y1, x2, y2 = diagram.diagonal
    points = diagram.curves[0].points
    assert len(points) == 2
    for point in points:
        assert point.y == pytest.approx(y1 + (y2 - y1) * (point.x - x1) / (x2 - x1), abs=0.2)


def test_segments_that_look_least_calibrated_are_drawn_first_and_the_rest_is_counted() -> None:
    figure = segments_figure(
        TRUTH, rows(TRUTH, OUTCOMES, segments={"source": SOURCE, "category": CATEGORY}), title="click"
    )
    assert figure is not None
    assert figure.title == "click: 12 of 17 segment values"
    assert len(figure.diagrams) == MOST_SEGMENTS
    assert figure.diagrams[0].heading[0] == "source=mail"
    assert figure.description.startswith("source=mail: ")


def test_segments_without_both_outcomes_are_not_drawn() -> None:
    assert (
        segments_figure([0.1, 0.2], rows([0.1, 0.2], [1, 0], segments={"source": ["a", "b"]}), title="click")
        is None
    )


def test_a_value_head_is_drawn_in_its_own_unit() -> None:
    seconds = np.where(OUTCOMES, RNG.exponential(40.0, N), 0.0)
    figure = reliability_figure(TRUTH * 30, rows(TRUTH * 40, seconds), title="watch_seconds")
    assert figure.title.startswith(f"watch_seconds: {int(OUTCOMES.sum())} values above 0 in 3,000")
    assert words_of(figure.diagrams[0].frame.x_ticks)[-1] > 1
    assert figure.labels[0].words == "predicted, in the unit of the value"
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


def test_every_point_and_band_lies_within_the_picture() -> None:
    for rate in (0.01, 0.3):
        figure = figure_of(rate)
        for diagram in figure.diagrams:
            box = diagram.frame
            for curve in diagram.curves:
                band = np.array([pair.split(",") for pair in curve.band.split()], dtype=float)
                points = np.array([(point.x, point.y) for point in curve.points])
                for x, y in np.vstack((band, points)):
                    assert box.left <= x <= box.right
                    assert box.top <= y <= box.bottom


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


def curve(factor: float = 1.0) -> Curve:
    p = np.linspace(0.01, 0.5, 200)
    y = (np.arange(200) % 3 == 0).astype(float)
    return reliability_curve(factor * p, y, Clusters(np.arange(200), 200, "users"))


PAIR = {"before": curve(0.5), "after": curve()}
FRAME = Frame.around(list(PAIR.values()), rare=False, binary=True)


def test_two_diagrams_share_their_axes_and_the_left_one_names_the_upright() -> None:
    figure = draw_large("click", PAIR, FRAME)
    before, after = figure.diagrams
    assert before.frame.y_ticks == after.frame.y_ticks
    moved = after.frame.left - before.frame.left
    assert [tick.at + moved for tick in before.frame.x_ticks] == [tick.at for tick in after.frame.x_ticks]
    assert [diagram.frame.names_y for diagram in figure.diagrams] == [True, False]
    assert [strip.frame.names_x for strip in figure.strips] == [True, True]
    assert [strip.name for strip in figure.strips] == ["before", "after"]


def test_small_diagrams_stand_four_in_a_row_and_the_lowest_of_each_column_is_named() -> None:
    figure = draw_small("click", {(f"source={n}", "1.00"): PAIR for n in range(6)}, FRAME)
    assert len({diagram.frame.left for diagram in figure.diagrams}) == 4
    assert [diagram.frame.names_x for diagram in figure.diagrams] == [False, False, True, True, True, True]
    assert [diagram.frame.names_y for diagram in figure.diagrams] == [True, False, False, False, True, False]
    assert max(diagram.frame.bottom for diagram in figure.diagrams) < figure.height - 30
    assert max(diagram.frame.right for diagram in figure.diagrams) <= figure.width


def test_of_segments_only_the_calibrated_curve_has_a_band() -> None:
    (diagram,) = draw_small("click", {("source=ads", "1.00"): PAIR}, FRAME).diagrams
    assert [bool(line.band) for line in diagram.curves] == [False, True]
    assert diagram.rows.startswith("M")


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
