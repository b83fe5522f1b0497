"""A week of the tour: a release serves, a harmful policy is held, a ranker of clicks stands beside it."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.tour.calendar import Plan, Work
from benchmarks.tour.figures import by_week
from benchmarks.tour.journal import EventKind, Journal
from benchmarks.tour.naive import play_naive
from benchmarks.tour.page import FIGURES, MAIN, PAGE, PICTURES, START, Play, pictures, sections, write_html
from benchmarks.tour.served_feed import ServedFeed
from benchmarks.tour.team import GATES, HARMFUL
from tasks.stores.aliases import CANARY

pytestmark = pytest.mark.xdist_group("tour")
SHORT = Plan(
    requests_per_day=150,
    before=60,
    weeks=1,
    watched_every=99,
    agenda=((0, Work.FIRST_RELEASE), (2, Work.HARMFUL_POLICY)),
    faults=(),
)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> ServedFeed:
    tour = ServedFeed(tmp_path_factory.mktemp("tour"), SHORT, Journal())
    tour.play()
    return tour


@pytest.fixture(scope="module")
def played(tour: ServedFeed) -> Play:
    return Play(tour.journal, play_naive(SHORT), facts=("A short form.",), places=("Airflow: nowhere",))


def test_the_first_release_serves_everybody_from_the_first_day(tour: ServedFeed) -> None:
    first = tour.journal.events[0]
    assert (first.day, first.kind, first.by) == (0, EventKind.RELEASE, "ana and sam")
    assert tour.team.aliases["champion"] == 1
    assert CANARY not in tour.team.aliases


def test_rows_of_the_audit_bear_the_time_of_the_feed(tour: ServedFeed) -> None:
    assert {f"{one.at:%F}" for one in tour.team.workspace.audit.entries() if one.at} == {"2026-01-05"}


def test_the_policy_that_forgets_a_cost_is_held_by_the_gates(tour: ServedFeed) -> None:
    (noticed,) = tour.journal.notices
    assert (noticed.fault, noticed.by, noticed.day) == (HARMFUL, GATES, 2)


def test_the_contracts_are_as_before_once_the_policy_is_held(tour: ServedFeed) -> None:
    assert tour.team.workspace.contracts.utility == tour.policy


def test_people_hide_less_of_what_equipoise_shows_than_of_what_is_clicked_most(played: Play) -> None:
    ours, naive = (by_week(days) for days in played.sides.values())
    assert ours["hides"][0] < naive["hides"][0]
    assert ours[MAIN][0] > naive[MAIN][0]


def test_the_page_is_self_contained_and_holds_eight_pictures(played: Play, tmp_path: Path) -> None:
    write_html(played, tmp_path / "tour.html")
    text = (tmp_path / "tour.html").read_text(encoding="utf-8")
    assert text.count('src="data:image/svg+xml;base64,') == 8
    assert not re.findall(r'(?:src|href)="(?:https?:|/|\.)', text)
    assert HARMFUL in text


def test_marks_of_a_picture_are_numbered_as_the_events_of_the_page(played: Play) -> None:
    svg = pictures(played)[MAIN]
    assert svg.count('class="middle badge"') == len(played.drawn)
    assert any(line.startswith("| 1 | 0 | release 1 ") for line in sections(played))


def test_the_page_of_the_docs_is_made_by_the_tour() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown: Mapping[str, None] = dict.fromkeys(
        re.findall(r"\(pictures/tour/(\w+)\.svg\)", text[text.index(START) :])
    )
    assert [*shown] == [*FIGURES]
    assert {file.stem for file in PICTURES.glob("*.svg")} == {*FIGURES}
