"""The documentation as people read it: opened from its folder, without a network."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.docs.pages import DOCS, PAGES, REPOSITORY
from tests.e2e.browser import chromium

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("docs_site")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site beside the repository, warnings refused."""
    root = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, root / "docs")
    shutil.copy(REPOSITORY / "mkdocs.yml", root)
    for name in ("tasks", ".ci"):
        (root / name).symlink_to(REPOSITORY / name)
    command = (Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict")
    built = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return root / ".equipoise" / "site"


@pytest.fixture
def page(site: Path) -> Iterator[Page]:
    """Open the first page from its folder; whatever the console says is an error."""
    with chromium() as browser:
        opened = browser.new_context(offline=True).new_page()
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("request", lambda asked: None if asked.url.startswith("file:") else said.append(asked.url))
        opened.goto((site / "index.html").as_uri())
        yield opened
        assert said == []


def test_every_page_is_built_and_loads_nothing_from_the_web(site: Path) -> None:
    html = [file.read_text(encoding="utf-8") for file in site.rglob("*.html")]
    assert len(html) >= len(PAGES) - 1
    loaded = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//")
    assert not any(loaded.search(page) for page in html)


def test_a_word_is_searched_and_its_page_opened(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("perturb weights")
    selected = page.get_by_role("option", selected=True)
    expect(selected).to_have_attribute("href", re.compile(r"weight_perturbation\.html"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"weight_perturbation\.html"))
    assert "perturb" in page.title().lower()


def test_the_reference_is_made_of_the_docstrings(page: Page, site: Path) -> None:
    page.goto((site / "reference" / "api" / "evaluation.html").as_uri())
    assert page.locator("#tasks\\.evaluation\\.ranking_metrics\\.RankSums").count()
    assert page.get_by_text("::", exact=True).count() == 0


def test_a_page_is_dark_where_the_reader_wants_it_so_and_code_can_be_copied(site: Path) -> None:
    with chromium() as browser:
        page = browser.new_context(offline=True, color_scheme="dark").new_page()
        page.goto((site / "utility_policy.html").as_uri())
        assert page.locator("body").get_attribute("data-md-color-scheme") == "slate"
        page.locator("pre").first.hover()
        assert page.get_by_title("Copy to clipboard").count()


def test_a_phone_shows_a_page_without_scrolling_sideways(page: Page, site: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for name in ("index.html", "contracts.html", "reference/commands.html", "utility_policy.html"):
        page.goto((site / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
