"""In Airflow an experiment is read, says ship, and its page is looked at in Chromium."""

from datetime import UTC, datetime
from pathlib import Path

from tasks.experiments import plan
from tasks.experiments.results import newest_readout
from tests.e2e.browser import chromium
from tests.e2e.installation import Installation
from tests.experiments.arms_feed import NAME, ArmsFeed

SURFACE = "arms_feed"


def test_an_experiment_ships(installation: Installation) -> None:
    feed = ArmsFeed(surface=SURFACE)
    workspace = feed.write(installation.world, installation.surfaces.parent, home=installation.home)
    planned = plan.run(workspace, NAME, as_of=datetime(2026, 1, 11, tzinfo=UTC)).evidence
    assert planned.accepted
    dag = f"{SURFACE}__experiment"
    run = installation.run(dag, {"as_of": "2026-02-02T00:00:00Z"})
    assert f"**{NAME}: ship** (finished)" in installation.succeed(dag, run)["note"]
    seen = newest_readout(workspace, NAME)
    assert seen is not None
    assert Path(seen.report).is_relative_to(installation.home)
    with chromium() as browser:
        page, faults = browser.new_page(viewport={"width": 1200, "height": 900}), list[str]()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"file://{seen.report}")
        assert page.get_by_text("SHIP").is_visible()
        assert page.locator("figure.line svg").count() == 3
        assert page.locator("figure.rails .rail.pass").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert faults == []
