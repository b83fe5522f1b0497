"""In Airflow a release goes on to the next stage of its ramp, and is rolled back by itself when it does harm.

What became of it is looked at on the surface's page in Chromium.
"""

from datetime import UTC, datetime, timedelta

from tasks.stores.audit import Kind
from tasks.stores.workspace import Workspace
from tests.e2e.browser import Person, chromium, no_complaints
from tests.e2e.installation import ENDED, Installation
from tests.feeds import ramp_feed
from tests.feeds.ramp_feed import NAME, Rates

RAMP = f"{NAME}__ramp"


def test_a_ramp_advances_and_then_rolls_back_by_itself(installation: Installation) -> None:
    ramp_feed.write_contracts(installation.surfaces)
    workspace = Workspace.open(NAME, surfaces=installation.surfaces, home=installation.home)
    began = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=4)
    ramp_feed.begin(workspace, stages=1, began=began)
    ramp_feed.write_log(workspace, days=4, began=began)
    wait_for_all(installation)  # the scheduled run of the last interval begins by itself, before it or after
    advanced = installation.until(
        lambda: [row for row in workspace.audit.entries() if row.run], "the ramp has advanced"
    )
    assert [(row.kind, row.share, row.by) for row in advanced] == [(Kind.CANARY, 0.5, "equipoise ramp")]
    assert "**advance** release 2: no guardrail is harmed" in notes(installation)
    look(
        installation,
        "ramp_advanced",
        "canary, 50% of the users",
        "canary: release 2 compared with champion 1, 50% of",
    )
    ramp_feed.write_log(workspace, days=4, began=began, rates=Rates(hides=(0.1, 0.2)))
    wait_for_all(installation)
    assert "**roll back** release 2: hide_7d_rate is harmed" in notes(installation)
    stopped = workspace.audit.entries()[-1]
    assert (stopped.kind, stopped.release, stopped.champion) == (Kind.WITHDRAW, 2, 1)
    assert workspace.store.registry.aliases(workspace.aliases.model) == {"champion": 1}
    look(
        installation,
        "ramp_rolled_back",
        "withdraw: release 2 compared with champion 1",
        "hide_7d_rate is harmed",
    )


def look(installation: Installation, picture: str, *texts: str) -> None:
    """Look for texts on the surface's page, at what the browser complains of and whether it scrolls sideways."""
    installation.ready(f"{NAME}__promote")  # who may see this DAG may see the page
    with chromium() as browser:
        person = Person(browser, installation, "ana")
        with no_complaints(person.page):
            page = person.open("equipoise", NAME)
            person.picture(picture)
            for text in texts:
                assert page.get_by_text(text).first.is_visible(), text
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def wait_for_all(installation: Installation) -> None:
    """Start a run and wait until no run is left; one that is due by the schedule may come at any time."""
    installation.succeed(RAMP, installation.run(RAMP))
    runs = installation.airflow().runs
    installation.until(lambda: all(run["state"] in ENDED for run in runs(RAMP)), "no run is left")


def notes(installation: Installation) -> str:
    return " ".join(str(run["note"]) for run in installation.airflow().runs(RAMP))
