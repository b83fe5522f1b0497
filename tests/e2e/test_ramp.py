"""In Airflow a release goes on to the next stage of its ramp, and is rolled back by itself when it does harm."""

from datetime import UTC, datetime, timedelta

from tasks.stores.audit import Kind
from tasks.stores.workspace import Workspace
from tests.e2e.installation import Installation
from tests.feeds import ramp_feed
from tests.feeds.ramp_feed import NAME, Rates

RAMP = f"{NAME}__ramp"


def test_a_ramp_advances_and_then_rolls_back_by_itself(installation: Installation) -> None:
    ramp_feed.write_contracts(installation.surfaces)
    workspace = Workspace.open(NAME, surfaces=installation.surfaces, home=installation.home)
    began = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=4)
    ramp_feed.begin(workspace, stages=1, began=began)
    ramp_feed.write_log(workspace, days=4, began=began)
    run = installation.run(RAMP, {"as_of": (began + timedelta(days=4)).isoformat()})
    assert "**advance** release 2" in installation.succeed(RAMP, run)["note"]
    advanced = workspace.audit.entries()[-1]
    assert (advanced.kind, advanced.share, advanced.by, advanced.run) == (
        Kind.CANARY,
        0.5,
        "equipoise ramp",
        run,
    )
    ramp_feed.write_log(workspace, days=4, began=began, rates=Rates(hides=(0.1, 0.2)))
    run = installation.run(RAMP)
    assert "**roll back** release 2: hide_7d_rate is harmed" in installation.succeed(RAMP, run)["note"]
    stopped = workspace.audit.entries()[-1]
    assert (stopped.kind, stopped.release, stopped.champion) == (Kind.WITHDRAW, 2, 1)
    assert workspace.store.registry.aliases(workspace.aliases.model) == {"champion": 1}
