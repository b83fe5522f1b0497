"""The simulation report: guardrails first, then figures beside the baseline, further policies and segments.

What a simulation cannot measure is said once, in a sentence, and a component that decides all or nothing too.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.evidence import Measured, SlateRule
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.release.step import ReleaseResult
from tasks.replay import slates
from tasks.replay.evaluate import Findings
from tasks.replay.evidence import OffPolicyCheck
from tasks.replay.page import (
    better_directions,
    note_examined,
    notes_of,
    order_segments,
    other_slate,
    simulation_page,
    stood_in,
)
from tasks.reports.phrases import TaskWords, Vocabulary
from tasks.stores.workspace import Workspace
from tests.replay import worlds
from tests.verdicts import bound, subject

RATE = Measured(
    subject("like_rate"),
    ALL,
    "release 1",
    Estimate(0.1, 0.08, 0.12, 2345),
    None,
    Estimate(0.05, 0.01, 0.09, 9),
)
NEW = Measured(
    subject("like_rate"), Segment("tenure", "<new>"), "release 1", Estimate(0.3, 0.2, 0.4, 7), None, None
)
UNKNOWN = Measured(subject("coverage"), ALL, "release 1", None, None, None, reason="no slot holds <b>")
RAIL = Verdict(
    "decision",
    subject("<i>"),
    ALL,
    Outcome.WARN,
    bound("rise of 5.0%"),
    Estimate(0.05, 0.01, 0.09, 9),
    "<u>",
    relative=True,
)

WORDS = Vocabulary()
PER_LOOK = "<br><small>events per examined impression</small>"
RULE = SlateRule(rule="min_where_if_available:<x>", slates=1200, unmet=30, too_few=20, slots_short=31)


def page(*measured: Measured, others: dict[str, list[Measured]] | None = None) -> str:
    found = Findings("logged order", [RAIL], list(measured), others or {})
    return simulation_page("t", WORDS, found=found, rules=[RULE], notes=["<s>"])


def test_a_metric_stands_with_its_intervals_beside_the_baseline() -> None:
    row = page(RATE).split("<td>like_rate<")[1]
    assert "0.1 [0.08,\N{NO-BREAK SPACE}0.12]</td>" in row
    assert "+5.0% [+1.0%,\N{NO-BREAK SPACE}+9.0%]</td>" in row
    assert "2,345" in row


def test_each_row_says_which_way_is_better() -> None:
    hide = replace(RATE, subject=subject("hide_rate"))
    found = Findings("logged order", [], [RATE, hide, UNKNOWN], {"mine": [RATE]}, costs=frozenset({"hide"}))
    assert better_directions(found) == {"like_rate": "more", "hide_rate": "less", "coverage": ""}
    text = simulation_page("t", WORDS, found=found)
    assert text.count(f"<td>like_rate{PER_LOOK}</td><td>more</td>") == 2
    assert f"<td>hide_rate{PER_LOOK}</td><td>less</td>" in text


def test_what_cannot_be_measured_says_why() -> None:
    assert "inconclusive: no slot holds &lt;b&gt;" in page(UNKNOWN)


def test_segments_come_last_and_only_where_there_are_some() -> None:
    assert "By segment" not in page(RATE)
    whole, segments = page(NEW, RATE, others={"mine": [RATE]}).split("By segment")
    assert "tenure=&lt;new&gt;" in segments
    assert "tenure" not in whole
    assert (
        whole.index("Primary and guardrails")
        < whole.index("Policy and baseline")
        < whole.index("mine and baseline")
    )


def test_the_page_is_self_contained_and_escapes_what_it_shows() -> None:
    text = page(UNKNOWN, others={"<em>": [RATE]})
    for markup in ("<script>", "<b>", "<i>", "<u>", "<s>", "<em>", "http"):
        assert markup not in text
    assert '<td class="verdict warn">warning</td><td>&lt;i&gt;</td>' in text


def test_slate_rules_are_counted() -> None:
    row = page(RATE).split("Slate rules")[1].split("min_where_if_available:&lt;x&gt;</td>")[1]
    cells = [cell.split("</td>")[0] for cell in row.split('<td class="number">')[1:5]]
    assert cells == ["1,200", "30", "20", "31"]


def test_harmed_segments_come_first_and_say_what_they_pool() -> None:
    def utility(segment: Segment, change: float) -> Measured:
        relative = Estimate(change, change - 0.01, change + 0.01, 90)
        kind = MetricKind.OBSERVED_UTILITY
        return Measured(subject("observed_utility"), segment, "r", relative, relative, relative, kind)

    pool = replace(utility(Segment("tenure", "other"), 0.02), pooled=("new", "<old>"))
    harm = replace(
        RAIL, segment=Segment("tenure", "other"), outcome=Outcome.BLOCK, subject=subject("hide_rate")
    )
    found = Findings(
        "logged order",
        [RAIL, harm],
        [utility(Segment("tenure", "a"), 0.05), utility(Segment("tenure", "b"), -0.1), pool],
        {},
    )
    assert [one.name for one in order_segments(found)] == [
        Segment("tenure", "other"),
        Segment("tenure", "b"),
        Segment("tenure", "a"),
    ]
    text = simulation_page("t", WORDS, found=found, notes=["a note"])
    assert text.index("Harmed segments") < text.index("a note") < text.index("Primary and guardrails")
    assert "of new, &lt;old&gt;</small>" in text
    rows = text.split("Primary and guardrails")[1]
    assert rows.index("tenure=other") < rows.index("&lt;i&gt;")


CHECK = OffPolicyCheck(
    subject=subject("<b>_rate"),
    against="champion 2",
    bound="change",
    estimator="place_dr",
    replayed=Estimate(0.05, 0.01, 0.09, 9),
    off_policy=Estimate(0.2, 0.1, 0.3, 9),
    without_model=Estimate(0.25, 0.05, 0.45, 9),
    difference=Estimate(0.15, 0.05, 0.25, 9),
    ess=1234.0,
    max_weight=12.5,
    verdict="disagrees",
)


def test_off_policy_estimates_stand_beside_the_replay_where_there_are_some() -> None:
    heading = "Off-policy estimates compared with the replay"
    assert heading not in page(RATE)
    untold = CHECK.model_copy(update={"estimator": "", "verdict": "inconclusive", "reason": "no <u> places"})
    found = Findings("logged order", [RAIL], [RATE], {}, checks=(CHECK, untold))
    html = simulation_page("t", WORDS, found=found)
    section = html.split(heading)[1].split("<h2>")[0]
    assert (
        "<td>disagrees</td><td>&lt;b&gt;_rate<br><small>events per examined impression</small><br>" in section
    )
    assert "<small>change against champion 2</small>" in section
    for figure in ("+5.0% [+1.0%", "+20.0% [+10.0%", "+15.0% [+5.0%", "1,234", "12.5", "place_dr"):
        assert figure in section
    assert "inconclusive: no &lt;u&gt; places" in section


def test_a_segment_that_is_read_from_right_to_left_moves_no_figure() -> None:
    hebrew = "\u05e0\u05e2\u05dc"
    worth = replace(RATE, segment=Segment("kind", str(hebrew)), subject=subject("observed_utility"))
    assert f"<summary>\u2068kind={hebrew}\u2069: observed utility +" in page(worth)


def test_what_a_contract_describes_is_told_by_its_description() -> None:
    words = Vocabulary(
        {"like": TaskWords("<praised> it")},
        guards={"coverage": "small & new shops"},
        constraints={"legal": "what nobody may sell"},
    )
    rails = [
        replace(RAIL, subject=subject("coverage")),
        replace(RAIL, gate="constraints", subject=Subject("leak", constraint="legal", baseline="release 7")),
        replace(RAIL, subject=subject("like_rate vs four promotions ago")),
    ]
    found = Findings("logged order", rails, [RATE, NEW], {})
    text = simulation_page("t", words, found=found)
    assert "<td>coverage<br><small>small &amp; new shops</small></td>" in text
    assert "<td>legal of release 7<br><small>what nobody may sell</small></td>" in text
    assert "ago<br><small>events per examined impression: people &lt;praised&gt; it</small></td>" in text
    assert (
        "<td>like_rate<br><small>events per examined impression: people &lt;praised&gt; it</small></td>"
        in text
    )
    assert "<small>events per" not in text.split("By segment")[1]  # the table above says it once


def test_the_page_begins_with_what_was_judged() -> None:
    rails = [RAIL, replace(RAIL, outcome=Outcome.INCONCLUSIVE), replace(RAIL, outcome=Outcome.PASS)]
    for judged, said in (
        (rails, "3 verdicts: 1 inconclusive, 1 warning, 1 pass"),
        ([], "Nothing was evaluated"),
    ):
        html = simulation_page("t", WORDS, found=Findings("r", judged, [], {}), facts=["slates of 3"])
        assert f'<p class="facts">{said}</p>\n<p class="facts">slates of 3</p>' in html


UNMEASURED = Measured(
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
    shares = [replace(UNMEASURED, subject=Subject("share", column=c, value=v)) for c, v in values]
    assert _notes(_slice(labelled_feed[0]), shares) == [
        "share of source, share of brand: no slot has a label."
    ]


def test_a_reason_is_said_once_with_every_metric_that_it_stops(labelled_feed: tuple[Workspace, str]) -> None:
    measured = [
        UNMEASURED,
        replace(UNMEASURED, segment=Segment("tenure", "new")),
        replace(UNMEASURED, subject=subject("buy_rate")),
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
