"""A person at Airflow's and MLflow's pages: headless Chromium, driven by what stands on the page.

With EQUIPOISE_PICTURES set to a folder the pictures of the documentation are taken anew.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

from playwright.sync_api import Browser, FloatRect, Locator, Page, sync_playwright

from tasks.settings import Settings
from tests.e2e.installation import Installation

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
PATIENCE_MS = 60_000
MARGIN = 30
"""Pixels around the elements of a picture."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's own Chromium."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, "Chromium is missing: `.ci/services` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


def log_in(page: Page, installation: Installation, user: str) -> None:
    """Fill in the form that Airflow shows to whom it does not know."""
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").first.fill(installation.airflow(user).password)
    page.get_by_role("button", name="Sign in").click()


class Person:
    """Somebody who has logged in to Airflow."""

    def __init__(self, browser: Browser, installation: Installation, user: str) -> None:
        self.installation = installation
        self.page: Page = browser.new_page(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.goto(installation.layout.airflow_url)
        log_in(self.page, installation, user)
        self.page.get_by_text("Welcome").wait_for()

    def open(self, *path: str) -> Page:
        """Open a page of Airflow by the parts of its path."""
        self.page.goto("/".join((self.installation.layout.airflow_url, *map(quote, path))))
        return self.page

    def begin(self, dag: str) -> Locator:
        """Open the form that starts a run of a DAG."""
        self.open("dags", dag).get_by_role("button", name="Trigger").first.click()
        form = self.page.get_by_role("dialog").first
        form.get_by_text("Run Parameters").wait_for()
        return form

    def choose_instant(self, field: Locator, day: str, time: str = "00:00") -> None:
        """Fill a field of day and time, as in 2026/02/10; its calendar is open meanwhile."""
        field.click()
        calendar = self.page.get_by_placeholder("YYYY/MM/DD").locator("visible=true")
        calendar.fill(day)
        self.page.get_by_placeholder("HH:mm").locator("visible=true").fill(time)
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Escape")
        calendar.wait_for(state="hidden")

    def trigger(self, dag: str, texts: Mapping[str, str], *, as_of: str | None = None) -> str:
        """Start a run with a form's fields, and leave the page that shows it; return its id."""
        form = self.begin(dag)
        for field, text in texts.items():
            form.locator(f"[name=element_{field}]").fill(text)
        if as_of is not None:
            self.choose_instant(form.get_by_test_id("datetime-input").last, as_of)
        form.get_by_role("button", name="Trigger").last.click()
        self.page.wait_for_url(f"**/dags/{dag}/runs/*")
        self.page.get_by_text("Dag Run Triggered").wait_for()
        (run,) = [
            run["dag_run_id"] for run in self.installation.airflow().runs(dag) if run["run_type"] == "manual"
        ]
        self.leave()
        return str(run)

    def leave(self) -> None:
        """Open an empty page: Airflow's draws itself anew all the while that something runs."""
        self.page.goto("about:blank")

    def picture(self, name: str, *, around: Locator | None = None) -> None:
        """Keep what the page shows, or the part around some elements, where pictures are asked for."""
        if folder := Settings().pictures:
            clip = None if around is None else _clip(around)
            self.page.screenshot(path=folder / f"{name}.png", clip=clip)


@contextmanager
def no_complaints(page: Page) -> Iterator[None]:
    """Fail where a page's console holds an error at the end of the body."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield
    assert said == []


def _clip(around: Locator) -> FloatRect:
    boxes = [box for one in around.all() if (box := one.bounding_box())]
    left, top = (min(box[side] for box in boxes) - MARGIN for side in ("x", "y"))
    right = max(box["x"] + box["width"] for box in boxes) + MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}
