"""Each line of a release's verdicts: met by a sound one, and not met where one thing is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.readiness import releases as lines
from tasks.promotion.readiness.facts import ReadinessFacts, State
from tasks.reports.numbers import spoken
from tasks.stores.manifest import Role
from tests.promotion.readiness import standings as s


def test_every_weighed_probability_is_calibrated(sound: ReadinessFacts) -> None:
    line = lines.predictions_calibrated(sound)
    assert line.state is State.MET
    assert line.why == "click_1d, buy_2d, back_2d on the whole; none of 6 segments is shown to be off"
    whole = tuple(one for one in s.judgement().verdicts if one.segment == ALL)
    line = lines.predictions_calibrated(s.judged(sound, verdicts=whole))
    assert line.why == "click_1d, buy_2d, back_2d on the whole; no segment was judged"


@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING])
def test_a_task_that_is_not_shown_to_be_calibrated_is_named(sound: ReadinessFacts, outcome: Outcome) -> None:
    off = s.verdict("calibration", "back_2d.calibration_ratio", outcome=outcome)
    line = lines.predictions_calibrated(s.with_verdicts(sound, off))
    assert (line.state, line.why) == (State.NOT_MET, f"back_2d: {spoken(outcome)}")


def test_a_segment_that_is_off_is_named_and_one_that_cannot_be_told_is_not(sound: ReadinessFacts) -> None:
    subject = "click_1d.calibration_ratio"
    off = s.verdict("calibration", subject, Segment("category", "a"), Outcome.BLOCK)
    line = lines.predictions_calibrated(s.with_verdicts(sound, off))
    assert (line.state, line.why) == (State.NOT_MET, f"{subject} at category=a")
    thin = s.verdict("calibration", subject, Segment("category", "a"), Outcome.INCONCLUSIVE)
    assert lines.predictions_calibrated(s.with_verdicts(sound, thin)).state is State.MET


def test_a_task_without_a_calibrator_is_named(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    parts = sound.release.manifest.parts
    bare = tuple(part for part in parts if (part.role, part.task) != (Role.CALIBRATOR, "buy_2d"))
    line = lines.predictions_calibrated(s.with_manifest(sound, parts=bare))
    assert (line.state, line.why) == (State.NOT_MET, "no calibrator is pinned for buy_2d")


def test_segments_were_judged_and_the_harmed_ones_are_named(sound: ReadinessFacts) -> None:
    line = lines.segments_monitored(sound)
    assert (line.state, line.why) == (
        State.MET,
        "6 verdicts on 2 segments of category; none is shown to be harmed",
    )
    off = s.verdict("calibration", "click_1d.calibration_ratio", Segment("category", "b"), Outcome.BLOCK)
    assert lines.segments_monitored(s.with_verdicts(sound, off)).why.endswith("; harmed: category=b")


def test_a_gated_segment_of_which_no_verdict_speaks_is_named(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    assert sound.release.judgement is not None
    whole = tuple(v for v in sound.release.judgement.verdicts if v.segment == ALL)
    line = lines.segments_monitored(s.judged(sound, verdicts=whole))
    assert (line.state, line.why) == (State.NOT_MET, "no segment of category was judged of release 7")


def test_a_segment_of_which_every_verdict_is_inconclusive_is_not_judged(sound: ReadinessFacts) -> None:
    assert sound.release is not None
    assert sound.release.judgement is not None
    open_ = tuple(
        v if v.segment == ALL else replace(v, outcome=Outcome.INCONCLUSIVE)
        for v in sound.release.judgement.verdicts
    )
    line = lines.segments_monitored(s.judged(sound, verdicts=open_))
    assert line.state is State.NOT_MET
    assert line.why.endswith(": every verdict on them is inconclusive")


@pytest.mark.parametrize(
    ("surface", "said"),
    [
        ({"segments": [], "gates": {}}, "declares no segments"),
        ({"gates": {}}, "no gate looks at category, item_age"),
    ],
)
def test_segments_that_are_not_declared_or_not_gated_are_not_monitored(
    tmp_path: Path, surface: dict[str, Any], said: str
) -> None:
    line = lines.segments_monitored(s.standing(s.contracts(tmp_path, surface=surface)))
    assert (line.state, said in line.why) == (State.NOT_MET, True)


def test_the_components_of_a_slot_are_shown(sound: ReadinessFacts) -> None:
    line = lines.component_view(sound)
    assert line.state is State.MET
    assert line.why == "a slot's utility of 0.5 is made of click_1d 0.25, buy_2d 0.25, back_2d 0.25"


def test_a_term_that_no_composition_shows_is_named(sound: ReadinessFacts) -> None:
    line = lines.component_view(s.judged(sound, simulation=s.simulation(terms=("click_1d", "buy_2d"))))
    assert (line.state, line.why) == (State.NOT_MET, "the composition of release 7 lacks back_2d")
    assert lines.component_view(s.judged(sound, simulation=None)).state is State.NOT_MET


def test_without_a_release_or_its_verdict_the_way_to_one_is_named(sound: ReadinessFacts) -> None:
    for read in (lines.predictions_calibrated, lines.segments_monitored, lines.component_view):
        missing = read(replace(sound, release=None))
        assert (missing.state, "equipoise retrain small_feed" in missing.why) == (State.NOT_MET, True)
        unjudged = read(s.with_release(sound, judgement=None))
        assert (unjudged.state, "was not judged" in unjudged.why) == (State.NOT_MET, True)
