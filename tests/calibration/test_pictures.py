"""Reliability pictures lie with the runs that drew them, and the dossier shows them all."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from tasks.calibration.pictures import (
    JOINTS,
    draw_calibration,
    draw_joint,
    joint_picture,
)
from tasks.evaluation.observations import Observations
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tests.feeds.mini import Retrained


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
