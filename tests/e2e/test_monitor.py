"""In Airflow a drift alarms: the run says which series, the page shows it, the start page counts it."""

from tasks.labels import build as labels
from tests.e2e.browser import chromium, no_complaints
from tests.e2e.installation import Installation
from tests.monitoring.served_log import NAME, ServedLog, day_after

MONITOR = f"{NAME}__monitor"


def test_a_drift_alarms(installation: Installation) -> None:
    log = ServedLog.of(installation.surfaces.parent, days=124, requests=20, drift_from=110)
    workspace = log.write(home=installation.home)
    labels.run(workspace, as_of=day_after(124))
    run = installation.run(MONITOR, {"as_of": f"{day_after(124):%FT%TZ}"})
    assert "calibration ratio of click_1h" in installation.succeed(MONITOR, run)["note"]
    page = installation.home / "reports" / NAME / "monitor.html"
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1200, "height": 900})
        with no_complaints(opened):
            opened.goto(page.as_uri())
            alarm = opened.get_by_text("calibration ratio of click_1h").first
            assert alarm.is_visible()
            assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
