"""A dossier as people open it: from a file, in Chromium, wide and narrow, light and dark, by keyboard, printed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tasks.promotion import compose
from tasks.settings import Settings
from tests.e2e.browser import chromium
from tests.feeds.mini import Retrained

pytestmark = pytest.mark.e2e

SECTIONS = (
    *(
        "first",
        "why",
        "decision",
        "tasks",
        "calibration",
        "labels",
        "shadow",
        "lineage",
        "readiness",
        "verdicts",
    ),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def dossier(second_retrain: Retrained) -> Path:
    """The page of a release beside its champion."""
    return Path(compose.write_page(second_retrain.workspace, release=2, browse=False).dossier)


class Opened:
    """The page in a window of its own, with what it said on the console and what it asked the network for."""

    def __init__(self, browser: Browser, dossier: Path, **window: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = browser.new_context(**window).new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(dossier.resolve().as_uri())

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)


WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}


def test_the_page_opens_from_a_file_without_network_and_without_a_word_on_the_console(
    browser: Browser, dossier: Path
) -> None:
    opened = Opened(browser, dossier, **WIDE)
    assert opened.said == []
    assert [address for address in opened.asked if not address.startswith(("file:", "data:"))] == []
    assert dossier.stat().st_size < 3_000_000
    expect(opened.page.get_by_role("heading", level=1)).to_have_text("home_feed release 2: promote")
    if folder := Settings().pictures:
        opened.page.screenshot(path=folder / "dossier_first_screen.png")
        opened.page.locator("table.tasks").screenshot(path=folder / "dossier_tasks.png")


@pytest.mark.parametrize("window", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_never_scrolls_sideways(browser: Browser, dossier: Path, window: dict[str, Any]) -> None:
    opened = Opened(browser, dossier, **window)
    opened.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert opened.evaluate("document.documentElement.scrollWidth") <= window["viewport"]["width"]


def test_on_a_phone_no_table_is_cut_and_no_chart_shrinks_below_readable_text(
    browser: Browser, dossier: Path
) -> None:
    opened = Opened(browser, dossier, **PHONE)
    opened.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    cut = (
        "[...document.querySelectorAll('.wide:has(.labelled)')]"
        ".filter(one => one.scrollWidth > one.clientWidth + 1).length"
    )
    assert opened.evaluate(cut) == 0
    pixels = (
        "Math.min(...[...document.querySelectorAll('svg text')].map("
        "one => parseFloat(getComputedStyle(one).fontSize) * one.ownerSVGElement.getScreenCTM().d))"
    )
    assert opened.evaluate(pixels) >= 9
    shrunk = "Math.min(...[...document.images].map(one => one.clientWidth / one.naturalWidth))"
    assert opened.evaluate(shrunk) >= 0.9  # of ten pixels, the smallest text of a drawing


def test_a_table_is_sorted_by_a_column_and_saved_as_csv(browser: Browser, dossier: Path) -> None:
    page = Opened(browser, dossier, **WIDE).page
    page.locator("table.tasks th").get_by_role("button", name="rows").click()
    rows = [
        int(cell.split()[0].replace(",", ""))
        for cell in page.locator("table.tasks td:nth-child(3)").all_inner_texts()
    ]
    assert rows == sorted(rows)
    with page.expect_download() as saved:
        page.locator(".wide:has(table.tasks) + button.csv").click()
    assert saved.value.suggested_filename == "Tasks.csv"
    lines = saved.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith('"task","family, better","rows; positives"')
    assert len(lines) == 1 + len(rows)


def test_the_first_screen_is_one_screen(browser: Browser, dossier: Path) -> None:
    opened = Opened(browser, dossier, **WIDE)
    assert opened.evaluate("document.querySelector('#first').getBoundingClientRect().height") < 1000


def test_the_dark_is_dark_and_the_light_is_light(browser: Browser, dossier: Path) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert Opened(browser, dossier, color_scheme="light").evaluate(ground) == "rgb(255, 255, 255)"
    assert Opened(browser, dossier, color_scheme="dark").evaluate(ground) == "rgb(22, 24, 29)"


def test_the_keyboard_reaches_every_section_in_order(browser: Browser, dossier: Path) -> None:
    page = Opened(browser, dossier, **WIDE).page
    focused = "document.activeElement.getAttribute('href')"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "#first", "the way past the navigation comes first"
    for section in SECTIONS:
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == f"#{section}"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.url.endswith("#verdicts")
    expect(page.locator("#verdicts")).to_be_in_viewport()


def test_verdicts_are_filtered_and_folds_opened_without_a_mouse(browser: Browser, dossier: Path) -> None:
    page = Opened(browser, dossier, **WIDE).page
    rows = page.locator("#verdicts tr[data-gate]")
    page.locator('input[name="outcome"][value=""]').focus()
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.querySelector('input[name=outcome]:checked').value")
    shown = {row.get_attribute("data-outcome") for row in rows.all() if row.is_visible()}
    assert shown == {chosen}
    page.locator('input[name="outcome"][value="pass"]').check()
    assert {row.get_attribute("data-outcome") for row in rows.all() if row.is_visible()} == {"pass"}
    page.locator('input[name="outcome"][value=""]').check()
    fold = page.locator("#verdicts details.passed")
    before = sum(row.is_visible() for row in rows.all())
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert sum(row.is_visible() for row in rows.all()) > before


def test_a_gate_whose_verdicts_all_pass_shows_them_when_it_is_chosen(browser: Browser, dossier: Path) -> None:
    page = Opened(browser, dossier, **WIDE).page
    page.locator("#verdicts").get_by_label("freshness").check()
    rows = [row for row in page.locator("#verdicts tr[data-gate]").all() if row.is_visible()]
    assert {row.get_attribute("data-outcome") for row in rows} == {"pass"}
    assert len(rows) == 6, "one a task"


def test_a_printed_page_unfolds_what_is_folded(browser: Browser, dossier: Path, tmp_path: Path) -> None:
    page = Opened(browser, dossier, **WIDE).page
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    assert all(row.is_visible() for row in page.locator("#verdicts tr[data-gate]").all())
    page.pdf(path=tmp_path / "dossier.pdf")
    assert (tmp_path / "dossier.pdf").read_bytes().count(b"/Type /Page\n") > 3
