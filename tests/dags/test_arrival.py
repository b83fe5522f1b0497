"""The first step of a retrain: it waits for the log, without a slot, until a deadline."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.errors import DataError

Look = Callable[..., object]


@pytest.fixture
def look(airflow_home: object, tmp_path: Path) -> Look:
    """Let the step look at a log that ends so many days before the as-of, in a run that was due a while ago."""
    from dags.retrain_steps import await_log
    from tasks.stores.workspace import Workspace
    from tests.feeds.small_feed import AS_OF, NAME, SURFACE, write_contracts, write_logs

    more = "arrival: {deadline: PT1H, every: PT7M}\n"
    surfaces = write_contracts(tmp_path / "surfaces", surface=SURFACE + more)
    write_logs(tmp_path / "home" / "logs")
    workspace = Workspace.open(NAME, surfaces=surfaces, home=tmp_path / "home")

    def run(*, due: timedelta, days: int = 3) -> None:
        await_log(workspace, as_of=AS_OF + timedelta(days=days), due=datetime.now(UTC) - due)

    return run


def test_it_gives_its_slot_back_and_looks_again(look: Look) -> None:
    from airflow.sdk.exceptions import AirflowRescheduleException

    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as waits:
        look(due=timedelta(minutes=30))
    assert before + timedelta(minutes=7) <= waits.value.reschedule_date
    assert waits.value.reschedule_date <= datetime.now(UTC) + timedelta(minutes=7)


def test_after_the_deadline_it_says_what_is_missing(look: Look) -> None:
    with pytest.raises(DataError) as found:
        look(due=timedelta(hours=1))
    told = str(found.value)
    assert told.startswith(
        "The log has not arrived up to 2026-02-19T00:00:00Z: impressions end at 2026-02-15T"
    )
    assert "rows after 2026-02-18T00:00:00Z are expected" in told
    assert "The deadline was " in told


def test_a_log_that_is_there_is_no_matter_of_deadlines(look: Look) -> None:
    long_ago = timedelta(days=300)
    with pytest.raises(DataError, match="The deadline was "):
        look(days=3, due=long_ago)
    assert look(days=0, due=long_ago) is None
