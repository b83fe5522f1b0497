"""Whether the log has arrived up to an as-of."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.logs import arrival
from tasks.logs.arrival import ArrivalResult, count_days
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.logs import small_log
from tests.logs.small_log import Shop, events, impressions

Look = Callable[..., ArrivalResult]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Look as of an instant at a log whose tables have rows of the first two days and of one instant more."""

    def run(
        as_of: float, *, impressions: float = 5.5, events: float = 5.5, within: str = "P1D", surface: str = ""
    ) -> ArrivalResult:
        logs = Logs.random(tmp_path, seed=1)
        logs.within = within
        logs.impressions = [row for row in logs.impressions if row["shown_at"] < at(3)]
        shown = logs.impressions[0]
        logs.impressions += [{**shown, "request_id": f"r{n}", "shown_at": at(impressions)} for n in (91, 92)]
        logs.events = [event("click", at(day), value=1.0) for day in (2, events)]
        workspace = logs.write()
        with (workspace.surfaces / NAME / "surface.yaml").open("a", encoding="utf-8") as file:
            file.write(surface)
        return arrival.run(workspace, as_of=at(as_of))

    return run


def test_a_log_whose_newest_rows_lie_within_a_day_of_the_as_of_has_arrived(look: Look) -> None:
    found = look(6)
    assert (found.arrived, found.missing) == (True, "")


def test_newest_rows_of_a_whole_day_before_the_as_of_are_too_old(look: Look) -> None:
    assert not look(6.5).arrived
    assert look(6.5 - 1 / 86_400).arrived


def test_each_table_that_lacks_is_named_with_what_it_has_and_what_is_wanted(look: Look) -> None:
    found = look(8, impressions=7.5)
    assert found.missing == (
        "events end at 2024-03-05T12:00:00Z; rows after 2024-03-07T00:00:00Z are expected (arrival.within P1D)"
    )
    assert "impressions end at 2024-03-05" in look(8).missing


def test_rows_of_later_days_do_not_fill_a_gap_before_the_as_of(look: Look) -> None:
    assert "impressions end at 2024-03-02" in look(4.5).missing


def test_a_table_without_a_row_before_the_as_of_holds_nothing(look: Look) -> None:
    assert "events hold nothing before it" in look(1.5).missing


def test_the_contract_says_how_near_is_near_enough(look: Look) -> None:
    assert look(8, within="P3D").arrived


@pytest.mark.parametrize(("until", "arrived"), [("2024-03-05", True), ("2024-03-07", False)])
def test_logs_that_have_ended_need_to_reach_their_end_only(look: Look, until: str, arrived: bool) -> None:
    assert look(300, surface=f"until: {until}\n").arrived is arrived


def test_a_table_without_a_file_is_an_error_and_nothing_to_wait_for(tmp_path: Path) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    for file in (workspace.logs / NAME / "events").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="No events"):
        arrival.run(workspace, as_of=at(6))


def test_a_retrain_that_does_not_wait_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logs = Logs.random(tmp_path, seed=1)
    logs.within = "P1D"
    workspace = logs.write()
    arrival.warn(workspace, as_of=at(10.9))
    assert caplog.messages == []
    arrival.warn(workspace, as_of=at(30))
    assert "The log has not arrived up to 2024-03-30T00:00:00Z: impressions end at" in caplog.text


def test_the_last_midnight_is_that_of_traffic_though_outcomes_come_in_for_long(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    logs.within = "P1D"
    logs.impressions = [{**row, "shown_at": at(5.5)} for row in logs.impressions[:2]]
    logs.events = [event("click", at(9), value=1.0)]
    workspace = logs.write()
    assert arrival.last_midnight(workspace, as_of=at(30)) == at(5)
    assert arrival.last_midnight(workspace, as_of=at(6.25)) == at(6)


def test_days_are_those_of_rows_that_take_part_before_the_as_of(shop: Shop) -> None:
    shop.put("impressions", impressions()).put("events", events())
    with shop.opened() as log:
        assert count_days(log, small_log.at(100)) == {date(2024, 3, 1): 4, date(2024, 3, 2): 2}
        assert count_days(log, small_log.at(30)) == {date(2024, 3, 1): 4}
        assert count_days(log, small_log.at(0)) == {}
