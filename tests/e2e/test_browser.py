"""What a person does, at the pages: retrain, look, approve, see the champion, backfill labels."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tasks.stores.store import Store
from tests.e2e.browser import Person, chromium, log_in, no_complaints
from tests.e2e.installation import Installation, installed
from tests.feeds.mini import NAME

expect.set_options(timeout=30_000)
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("browser")]

RETRAIN, PROMOTE, LABELS = (f"{NAME}__{workflow}" for workflow in ("retrain", "promote", "labels"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation of its own: nobody else has made or promoted anything."""
    with installed(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def ana(browser: Browser, parts: Installation) -> Person:
    """The reviewer for product."""
    return Person(browser, parts, "ana")


@pytest.fixture(scope="module")
def retrained(ana: Person, parts: Installation) -> str:
    """A retrain that was started with the form and has ended."""
    parts.ready(RETRAIN)
    run = ana.trigger(RETRAIN, {}, as_of="2026/02/10")
    parts.succeed(RETRAIN, run)
    return run


@pytest.fixture(scope="module")
def asked(ana: Person, parts: Installation, retrained: str) -> str:
    """A promotion of its release that waits for the reviewers."""
    parts.ready(PROMOTE)
    run = ana.trigger(PROMOTE, {"release": "challenger", "why": "the first champion"})
    for role in ("product", "safety"):
        parts.wait_for_step(PROMOTE, run, f"approve_{role}", "awaiting_input")
    return run


def test_the_page_of_a_retrain_says_how_it_ended(ana: Person, retrained: str) -> None:
    page = ana.open("dags", RETRAIN, "runs", retrained)
    expect(page.get_by_text("Success").first).to_be_visible()
    expect(page.get_by_role("link", name="release 1")).to_be_visible()
    expect(page.get_by_text("as of 2026-02-10T00:00:00Z")).to_be_visible()
    expect(page.get_by_text("Promote", exact=True)).to_be_visible()
    assert page.get_by_text("Failed", exact=True).count() == 0
    ana.picture("airflow_retrain")


def test_the_graph_of_a_retrain_shows_the_models_of_all_tasks_as_one_group(
    ana: Person, retrained: str
) -> None:
    page = ana.open("dags", RETRAIN)
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    steps = page.locator(".react-flow__node")
    expect(steps.filter(has_text="models")).to_have_count(1)
    expect(steps.filter(has_text="gate")).to_be_visible()
    assert steps.filter(has_text="calibrate").count() == 0
    page.get_by_role("button", name="Fit View").click()
    page.wait_for_timeout(1000)  # it glides there
    ana.picture("airflow_graph", around=steps)
    page.get_by_role("button", name="Show Grid").click()  # a run's page opens as the last one was left


def test_the_list_of_dags_begins_with_a_surface_s_labels_and_ends_with_its_monitor(
    ana: Person, retrained: str
) -> None:
    page = ana.open("dags")
    expect(page.get_by_role("link", name=f"{NAME} · 1 labels")).to_be_visible()
    shown = [link.inner_text() for link in page.get_by_role("link", name=f"{NAME} · ").all()]
    order = "labels", "retrain", "retrain slow", "policy change", "promote", "rollback", "ramp", "experiment"
    numbered = [f"{NAME} · {place} {of}" for place, of in enumerate((*order, "monitor"), start=1)]
    assert shown == [*numbered, f"{NAME} · prune"]


def test_the_link_of_a_step_leads_to_its_mlflow_run(ana: Person, parts: Installation, retrained: str) -> None:
    page = ana.open("dags", RETRAIN, "runs", retrained, "tasks", "gate", "details")
    with page.context.expect_page() as opened:
        page.get_by_text("MLflow run").click()
    expect(opened.value.get_by_role("heading", name=f"{NAME} gate release 1", exact=True)).to_be_visible()
    assert opened.value.url.startswith(f"{parts.layout.mlflow_url}/#/experiments/")
    opened.value.close()


def test_equipoise_s_page_asks_for_a_login_and_a_viewer_comes_back_to_it(
    browser: Browser, parts: Installation, asked: str
) -> None:
    page = browser.new_page()
    page.goto(f"{parts.layout.airflow_url}/equipoise/{NAME}")
    log_in(page, parts, "eve")
    expect(page.get_by_role("heading", name=NAME, exact=True)).to_be_visible()
    assert page.url == f"{parts.layout.airflow_url}/equipoise/{NAME}"
    page.close()


def test_equipoise_s_first_page_leads_to_the_approval_that_waits(ana: Person, asked: str) -> None:
    with no_complaints(ana.page):
        page = ana.open("equipoise", "")
        waiting = page.get_by_role("link", name=f"{NAME}: may release 1 be champion? (product)")
        expect(waiting).to_be_visible()
    waiting.click()
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    assert PROMOTE in page.url


def test_who_is_no_reviewer_cannot_approve(browser: Browser, parts: Installation, asked: str) -> None:
    max_ = Person(browser, parts, "max")
    page = max_.open("dags", PROMOTE, "runs", asked, "tasks", "approve_product", "required_actions")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You do not have permission to perform this action")).to_be_visible()
    max_.leave()
    assert parts.wait_for_step(PROMOTE, asked, "approve_product", "awaiting_input")
    assert Store.open(parts.home).audit(NAME).entries() == ()


def test_reviewers_read_the_evidence_and_approve_and_the_release_is_champion(
    ana: Person, browser: Browser, parts: Installation, asked: str
) -> None:
    for person, role in ((ana, "product"), (Person(browser, parts, "sam"), "safety")):
        page = person.open("dags", PROMOTE, "runs", asked, "tasks", f"approve_{role}", "required_actions")
        expect(page.get_by_text("promote, compared with no champion")).to_be_visible()
        if role == "product":
            person.picture("airflow_approval")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("response successful")).to_be_visible()
        person.leave()
    parts.succeed(PROMOTE, asked)
    said = [
        (entry.kind.value, entry.by, entry.release) for entry in Store.open(parts.home).audit(NAME).entries()
    ]
    assert sorted(said[:2]) == [("approve", "ana", 1), ("approve", "sam", 1)]
    assert said[2:] == [("promote", "ana, sam", 1)]
    page = ana.page
    page.goto(f"{parts.layout.mlflow_url}/#/models/{NAME}.release/versions/1")
    expect(page.get_by_role("status", name="champion")).to_be_visible()
    expect(page.get_by_text("Verdict of the gates: promote, without a champion")).to_be_visible()
    ana.picture("mlflow_champion")


def test_equipoise_s_page_shows_the_champion_its_dossier_and_an_alias_moved_by_hand(
    ana: Person, parts: Installation
) -> None:
    page = ana.page
    with no_complaints(page):
        ana.open("equipoise", NAME)
        expect(page.get_by_role("row", name="champion 1 promote dossier")).to_be_visible()
        expect(page.get_by_role("cell", name="promote: champion none → 1")).to_be_visible()
        expect(page.get_by_role("img", name="click_30m: mature to 2026-02-08")).to_be_visible()
        ana.picture("airflow_surface")
        page.get_by_role("link", name="dossier").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("1")
        assert page.url.endswith(f"/equipoise/{NAME}/releases/1/dossier")
    registry = Store.open(parts.home).registry
    registry.client.delete_registered_model_alias(f"{NAME}.release", "champion")
    ana.open("equipoise", NAME)
    expect(page.get_by_role("alert")).to_contain_text(
        "Somebody updated an alias of home_feed.release by hand"
    )
    registry.set_alias(registry.part(f"{NAME}.release", 1), "champion")


def test_a_button_of_equipoise_s_page_leads_to_the_form_of_the_dag(ana: Person, asked: str) -> None:
    page = ana.open("equipoise", NAME)
    page.get_by_role("link", name="Roll back").click()
    page.get_by_role("button", name="Trigger").first.click()
    expect(page.get_by_role("dialog").first.get_by_text("Run Parameters")).to_be_visible()
    assert f"{NAME}__rollback" in page.url


def test_a_backfill_of_three_days_of_labels_is_started_with_the_form(
    ana: Person, parts: Installation, retrained: str
) -> None:
    parts.ready(LABELS)
    ana.begin(LABELS).get_by_text("Backfill", exact=True).click()
    ana.page.get_by_text("Date Range").wait_for()
    for place, day in ((0, "2026/01/10"), (1, "2026/01/12")):
        ana.choose_instant(ana.page.get_by_test_id("datetime-input").nth(place), day, "02:00")
    ana.picture("airflow_backfill")
    ana.page.get_by_role("button", name="Run Backfill").click()
    parts.until(lambda: parts.airflow().runs(LABELS), "the backfill has begun")
    ana.leave()
    filled = parts.backfilled(LABELS, 3)  # the scheduler makes them one by one
    assert sorted(run["logical_date"] for run in filled) == [
        f"2026-01-{day}T02:00:00Z" for day in ("10", "11", "12")
    ]
    for run in filled:
        parts.succeed(LABELS, run["dag_run_id"])
