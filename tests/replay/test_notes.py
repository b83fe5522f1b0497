"""What a simulation cannot measure is said once, in a sentence, and a component that decides all or nothing too."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.release.step import ReleaseResult
from tasks.replay import slates
from tasks.replay.evaluate import Findings
from tasks.replay.notes import note_examined, notes_of, other_slate, stood_in
from tasks.stores.workspace import Workspace
from tests.replay import worlds
from tests.verdicts import subject

UNKNOWN = Measured(
    subject=subject("click_rate"),
    segment=ALL,
    reference_model="release 1",
    policy=None,
    baseline=None,
    relative=None,
    reason="no slot has a label",
)


def _slice(workspace: Workspace, *, complete: bool = True, position: int | None = 1) -> slates.TestSlice:
    row = {"request_id": "r", "user_id": "u", "item_id": "i", "position": position, "category": "a", "age": 3}
    tasks = {"click_1d": 1.0, "buy_2d": 0.0, "back_2d": None, "spend_2d": None}
    frame = pd.DataFrame([row | tasks]).astype({"back_2d": float, "spend_2d": float})
    frame["shown_at"] = pd.Timestamp("2026-03-01T09:00:00Z")
    return slates.TestSlice(workspace, frame, complete)


def _notes(test: slates.TestSlice, measured: Sequence[Measured] = (), **found: Any) -> list[str]:
    return list(notes_of(test, Findings("champion 1", [], list(measured), {}, **found), against_log=False))


def test_where_all_is_logged_and_measured_there_is_nothing_to_note(
    labelled_feed: tuple[Workspace, str],
) -> None:
    assert _notes(_slice(labelled_feed[0])) == []


def test_policies_that_fill_slates_by_other_rules_than_the_release_are_named() -> None:
    (note,) = other_slate("3f", "a0", ["bold.yaml", "mild.yaml"])
    assert "bold.yaml, mild.yaml fill slates by the one in force" in note
    assert list(other_slate("3f", "3f", ["bold.yaml"])) == []
    assert list(other_slate("3f", "a0", [])) == []


def test_slates_that_are_looked_at_less_are_told_since_rates_are_per_look() -> None:
    log = worlds.page(examination=np.array([1.0, 0.5, 0.25]))
    short, long = worlds.slates("short", [1, 0, 0, 1, 0, 0]), worlds.slates("long", [1, 2, 3, 1, 2, 3])
    (note,) = note_examined(log, short, long)
    assert note.startswith("The slates of short are examined -42.9% against those of long")
    (note,) = note_examined(log, long, short)
    assert "examined +75.0% against those of short" in note
    assert list(note_examined(log, long, long)) == []


def test_a_log_of_what_was_shown_alone_says_nothing_of_the_rest(labelled_feed: tuple[Workspace, str]) -> None:
    (note,) = _notes(_slice(labelled_feed[0], complete=False))
    assert note.startswith("Reordering only")


def test_a_log_without_positions_says_nothing_of_places(labelled_feed: tuple[Workspace, str]) -> None:
    (note,) = _notes(_slice(labelled_feed[0], position=None))
    assert note.startswith("No position is logged")


def test_shares_that_cannot_be_measured_are_one_name_for_each_column(
    labelled_feed: tuple[Workspace, str],
) -> None:
    values = [(column, str(value)) for column in ("source", "brand") for value in range(40)]
    shares = [replace(UNKNOWN, subject=Subject("share", column=c, value=v)) for c, v in values]
    assert _notes(_slice(labelled_feed[0]), shares) == [
        "share of source, share of brand: no slot has a label."
    ]


def test_a_reason_is_said_once_with_every_metric_that_it_stops(labelled_feed: tuple[Workspace, str]) -> None:
    measured = [
        UNKNOWN,
        replace(UNKNOWN, segment=Segment("tenure", "new")),
        replace(UNKNOWN, subject=subject("buy_rate")),
    ]
    assert _notes(_slice(labelled_feed[0]), measured) == ["click_rate, buy_rate: no slot has a label."]


def test_terms_that_are_believed_or_left_out_are_named(labelled_feed: tuple[Workspace, str]) -> None:
    believed, left_out = _notes(_slice(labelled_feed[0]), believed={"back_2d": 3}, left_out=("survey",))
    assert (
        believed == "observed_utility: back_2d enters by predictions, since 3 events were seen in the slots."
    )
    assert left_out.startswith("observed_utility: survey is left out")


def test_a_comparison_with_the_log_says_how_wide_it_is(labelled_feed: tuple[Workspace, str]) -> None:
    (note,) = notes_of(_slice(labelled_feed[0]), Findings("logged order", [], [], {}), against_log=True)
    assert "three times" in note


def test_a_release_that_was_tested_itself_needs_no_stand_in(
    labelled_feed: tuple[Workspace, str], released: ReleaseResult
) -> None:
    assert list(stood_in(labelled_feed[0], released.version)) == []
