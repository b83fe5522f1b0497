"""Reliability pictures lie with the runs that drew them, and the dossier shows them all."""

from pathlib import Path

import numpy as np

from tasks.calibration.pictures import JOINTS, draw_calibration, draw_joint, joint_picture
from tasks.evaluation.observations import Observations
from tasks.stores.runs import StepKey, read_pictures, step_run
from tests.feeds.mini import Retrained


def test_the_dossier_shows_the_pictures_of_calibrators_and_of_joints(first_retrain: Retrained) -> None:
    page = Path(first_retrain.result.dossier).read_text(encoding="utf-8")
    for caption in ("click_30m, calibrator 1", "click_30m, calibrator 1, by segment"):
        assert f"<figcaption>{caption}</figcaption>" in page
    assert "<figcaption>return_5d, joint along its chain</figcaption>" in page
    assert "click_30m, joint" not in page
    assert len(page) < 1_000_000


def test_without_a_known_row_nothing_is_drawn(tmp_path: Path) -> None:
    with step_run(StepKey(tmp_path, "feed", step="calibrate", inputs="x")) as run:
        nothing = np.empty(0)
        draw_calibration(run, "click", nothing, Observations(nothing, nothing, [], []))
        draw_joint(run, "back", np.array([np.nan]), np.array([0.1]), ["u"])
    assert read_pictures(tmp_path, run.run_id) == {}
    assert read_pictures(tmp_path, run.run_id, JOINTS) == {}


def test_a_picture_comes_back_as_it_was_drawn(tmp_path: Path) -> None:
    with step_run(StepKey(tmp_path, "feed", step="calibrate", inputs="x")) as run:
        run.picture("reliability/click.png", b"\x89PNG")
    assert read_pictures(tmp_path, run.run_id, JOINTS) == {joint_picture("click"): b"\x89PNG"}
    assert read_pictures(tmp_path, run.run_id) == {}
