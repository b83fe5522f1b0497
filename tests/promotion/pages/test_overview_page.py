"""The pages in Airflow, from values made by hand."""

import doctest
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tasks.evaluation.verdicts import Outcome
from tasks.labels.build_record import DayState, DayStates
from tasks.monitoring.alarms import read_alarms
from tasks.promotion.overview import (
    AliasedRelease,
    Aliases,
    Overview,
    StoredCalendar,
)
from tasks.promotion.pages import overview_page
from tasks.promotion.pages.overview_page import (
    Card,
    PendingApproval,
    write_index,
    write_problem,
    write_surface,
)
from tasks.stores.audit import Entry, Kind
from tests.monitoring.test_alarms import SERIES, table
from tests.promotion.pages.test_dossier import RATIO, judged

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
CHAMPION = AliasedRelease("champion", 3, NOW - timedelta(days=9), NOW - timedelta(days=10), "promote")
CHALLENGER = AliasedRelease("challenger", 4, NOW - timedelta(hours=5), None, None)
HOSTILE = "<script>alert(1)</script>"
QUESTION = PendingApproval(
    "home_feed: may release 4 be champion? (product)",
    NOW - timedelta(hours=3),
    ("ana", "max"),
    "../dags/home_feed__promote/runs/r/tasks/approve_product/required_actions",
)


def aliases(**changed: Any) -> Aliases:
    return Aliases(**{"surface": "home_feed", "releases": (CHAMPION, CHALLENGER), "mismatch": "", **changed})


def surface_page(**changed: Any) -> str:
    known: Mapping[str, Any] = {
        "aliases": aliases(),
        "evidence": {},
        "moves": (),
        "labels": None,
        "problems": (),
    }
    return write_surface(Overview(**{**known, **changed}), [QUESTION], now=NOW)


def text_of(page: str) -> str:
    body = page.partition("<body>")[2]
    return " ".join(re.sub(r"<title>.*?</title>|<[^>]*>", " ", body).split())


def test_the_first_page_says_who_serves_since_when_and_what_waits() -> None:
    text = text_of(write_index([Card("home_feed", aliases(), questions=(QUESTION,))], now=NOW))
    assert "champion release 3, 10 days promote" in text
    assert "challenger release 4, 5 hours" in text
    assert f"{QUESTION.subject} asked ana or max 3 hours ago" in text


def test_a_canary_has_the_share_of_its_stage() -> None:
    canary = AliasedRelease("canary", 4, NOW - timedelta(hours=5), None, "promote", share=0.05)
    found = aliases(releases=(CHAMPION, canary))
    text = text_of(write_index([Card("home_feed", found, questions=())], now=NOW))
    assert "canary, 5% of the users release 4, 5 hours promote" in text


def test_surfaces_are_counted_in_the_singular_and_the_plural() -> None:
    counted = {count: write_index([Card("feed", aliases())] * count, now=NOW) for count in (1, 2)}
    assert "1 surface, " in counted[1]
    assert "2 surfaces, " in counted[2]


def test_a_surface_that_cannot_be_read_says_why_beside_one_that_can() -> None:
    cards = [Card("home_feed", aliases()), Card("short_video", None, "MLflow is away")]
    text = text_of(write_index(cards, now=NOW))
    assert "champion release 3" in text
    assert "short_video MLflow is away" in text


def test_without_any_surface_the_first_page_says_so() -> None:
    assert "Airflow has no DAGs of surfaces" in text_of(write_index([], now=NOW))
    assert "No release yet" in text_of(write_index([Card("a", aliases(releases=()))], now=NOW))


def test_buttons_lead_to_the_pages_of_dags_and_nothing_is_sent_from_here() -> None:
    page = surface_page()
    ways = re.findall(r'<a class="way" href="([^"]*)">([^<]*)</a>', page)
    assert ("../dags/home_feed__promote", "Promote") in ways
    assert ("../dags/home_feed__rollback", "Roll back") in ways
    assert len(ways) == 6
    assert not re.findall(r"<(?:form|script|button|input)", page)


def test_a_release_has_its_age_its_verdicts_and_its_dossier() -> None:
    rows = [replace(RATIO, outcome=one) for one in (*[Outcome.PASS] * 40, *[Outcome.INCONCLUSIVE] * 2)]
    reasons = ("decision: click rate -5.0 %: block",)
    page = surface_page(evidence={3: judged(gates=tuple(rows), reasons=reasons).evidence})
    assert "champion 3 promote dossier 10 days 2026-03-10 12:00 UTC 40 pass, 2 inconclusive" in text_of(page)
    assert 'href="home_feed/releases/3/dossier"' in page
    assert "What holds release 3 (champion) decision: click rate -5.0 %: block" in text_of(page)
    assert "releases/4/dossier" not in page  # it was not judged yet


def test_an_alias_moved_by_hand_is_an_alert() -> None:
    page = surface_page(aliases=aliases(mismatch="Somebody updated an alias by hand."))
    assert '<p class="block" role="alert">Somebody updated an alias by hand.</p>' in page


def test_a_task_s_days_are_placed_by_date_and_told_in_words() -> None:
    days = (
        (date(2026, 3, 1), DayState.MATURE),
        (date(2026, 3, 2), DayState.FAILED),
        (date(2026, 3, 4), DayState.IMMATURE),
    )
    labels = StoredCalendar("5d6a", NOW, (DayStates("click", days),), ("Validation failed. rows",))
    page = surface_page(labels=labels)
    summary = "mature to 2026-03-01; 1 mature, 1 immature, 1 validation failed"
    assert f'viewBox="0 0 4 2" preserveAspectRatio="none" role="img" aria-label="click: {summary}"' in page
    assert re.findall(r'class="day-(\w+)" x="([\d.]+)"', page) == [
        ("mature", "0.05"),
        ("failed", "1.05"),
        ("immature", "3.05"),
    ]
    assert "Validation failed. rows" in text_of(page)


def test_the_audit_s_rows_are_told_with_who_and_why() -> None:
    moves = (
        Entry(Kind.PROMOTE, "ana, sam", 3, 2, "carts rose", at=NOW),
        Entry(Kind.REJECT, "sam", 4, 3, "hides rose", role="safety", at=NOW),
    )
    page = surface_page(moves=moves)
    assert page.count('<td class="block">') == 1
    text = text_of(page)
    assert "promote: champion 2 → 3 ana, sam carts rose 2026-03-20 12:00 UTC" in text
    assert "reject: release 4 for safety sam hides rose" in text


def test_whatever_people_wrote_is_text() -> None:
    move = Entry(Kind.APPROVE, HOSTILE, 3, None, HOSTILE, role=HOSTILE, at=NOW)
    pages = [
        surface_page(aliases=aliases(mismatch=HOSTILE), moves=(move,), problems=(HOSTILE,)),
        write_index([Card(HOSTILE, aliases(mismatch=HOSTILE), HOSTILE)], now=NOW),
        write_problem("Equipoise", HOSTILE, now=NOW),
    ]
    assert not any("<script" in page for page in pages)


def test_the_examples_are_true() -> None:
    assert doctest.testmod(overview_page).failed == 0


def test_alarms_are_shown_with_the_way_to_the_series() -> None:
    series = table(134, **SERIES)
    page = surface_page(alarms=read_alarms(series, critical=["click"], sent={}))
    assert "1 alarm in the last seven days. Critical: calibration ratio of click, " in text_of(page)
    assert '<a href="home_feed/monitor">Series</a>' in page
    assert "Levels only: 97 days" in surface_page(
        alarms=read_alarms(table(97, **SERIES), critical=[], sent={})
    )
    assert "The surface was not monitored yet." in surface_page()
