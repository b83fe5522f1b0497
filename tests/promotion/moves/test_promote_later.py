"""A promotion is judged as of its own day: the log has gone on since the release was made."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.errors import GateRefused
from tasks.pipeline import recheck
from tasks.promotion.gate import GateResult
from tasks.promotion.moves import promote
from tasks.promotion.moves.rules import PromotionRequest
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace, parse_instant
from tests.feeds.mini import LATER, NAME, Retrained, step_runs
from tests.promotion.moves.moving import TESTED
from tests.stores.local_path import local
from tests.verdicts import subject_of

TIMES = ("shown_at", "happened_at", "ingested_at")
NEXT_DAYS = 3


@pytest.fixture
def alone(second_retrain: Retrained, tmp_path: Path) -> Workspace:
    """A copy of the home of two releases, whose log a test lets go on."""
    there = second_retrain.workspace
    home = Path(shutil.copytree(there.home, tmp_path / "home"))
    return Workspace.open(NAME, surfaces=there.surfaces, home=home)


def let_log_go_on(workspace: Workspace, *, days: int, without: str = "") -> None:
    """Repeat the log's last days after its end as other requests, without the events of one name."""
    logs = local(workspace.logs) / NAME
    for file in sorted(logs.glob("*/*.parquet")):
        rows = pq.read_table(file)
        (at,) = {"shown_at", "happened_at"} & set(rows.column_names)
        rows = rows.filter(pc.greater_equal(rows[at], pa.scalar(LATER - timedelta(days=days))))
        if file.parent.name == "events":
            rows = rows.filter(pc.not_equal(rows["event"], without))
        for name in {*TIMES} & set(rows.column_names):
            later = pc.add(rows[name], pa.scalar(timedelta(days=days)))
            rows = rows.set_column(rows.column_names.index(name), name, later)
        renamed = pc.binary_join_element_wise("later", rows["request_id"], "-")
        rows = rows.set_column(rows.column_names.index("request_id"), "request_id", renamed)
        if rows.num_rows:
            pq.write_table(rows, file.with_name(f"later-{file.name}"))


def prepare(workspace: Workspace) -> PromotionRequest:
    return promote.prepare(workspace, release=2, evaluate_gate=recheck, support=TESTED)


def later_validation(judged: GateResult) -> dict[str, Any] | None:
    found = [
        gate
        for gate in judged.evidence.to_json()["gates"]
        if subject_of(gate) == "validation_of_later_labels"
    ]
    return found[0] if found else None


def test_a_log_that_has_not_gone_on_has_no_later_labels(second_retrain: Retrained) -> None:
    assert later_validation(recheck(second_retrain.workspace, 2)) is None


def test_labels_that_matured_since_are_validated_and_the_case_says_so(alone: Workspace) -> None:
    let_log_go_on(alone, days=NEXT_DAYS)
    judged = recheck(alone, 2)
    verdict = later_validation(judged)
    assert verdict is not None
    assert (verdict["gate"], verdict["outcome"]) != ("data", "block")
    validated = Store.open(alone.home).registry.client.get_run(verdict["evidence"]).data.tags
    assert validated["step"] == "validate"
    day = LATER + timedelta(days=NEXT_DAYS - 1)  # the last midnight that the log has passed
    assert parse_instant(validated["as_of"]) == parse_instant(judged.evidence.evaluated_as_of or "") == day
    assert "validation_of_later_labels" in Path(judged.dossier).read_text(encoding="utf-8")
    found = step_runs(alone, "validate")
    again = recheck(alone, 2, as_of=day)
    assert again.evidence.to_json()["gates"] == judged.evidence.to_json()["gates"]
    assert step_runs(alone, "validate") == found, "the move finds it again"


def test_a_stream_of_events_that_fell_silent_since_holds_the_release(alone: Workspace) -> None:
    """Trained and replayed on whole labels; whoever promotes it today promotes on a broken log."""
    let_log_go_on(alone, days=NEXT_DAYS, without="click")
    with pytest.raises(
        GateRefused, match=r"Release 2 is held, .*data: validation of later labels .*: block"
    ) as held:
        prepare(alone)
    assert "expect_event_streams_to_go_on" in str(held.value)
    assert Store.open(alone.home).registry.aliases(f"{NAME}.release") == {"champion": 1, "challenger": 2}


def test_a_challenger_of_months_ago_is_judged_as_of_today(alone: Workspace) -> None:
    """The log has gone on for 90 days, and nothing was retrained; parts may be 60 days old."""
    logged = max((alone.home / "logs" / NAME / "impressions").glob("*.parquet"))
    rows = pq.read_table(logged)
    later = pc.add(rows["shown_at"], pa.scalar(timedelta(days=90)))
    newer = rows.set_column(rows.column_names.index("shown_at"), "shown_at", later)
    pq.write_table(newer, logged.with_name("later.parquet"))
    with pytest.raises(GateRefused, match=r"freshness: age of training data, \w+ \d+ days .*: block"):
        prepare(alone)
    newest = step_runs(alone, "shadow", release=2)[-1]
    day = Store.open(alone.home).registry.client.get_run(newest).data.tags["as_of"]
    assert parse_instant(day) > LATER + timedelta(days=80)


@pytest.mark.parametrize("days", [-5, 1])
def test_a_case_that_is_too_old_or_of_tomorrow_moves_nothing(second_retrain: Retrained, days: int) -> None:
    made = parse_instant(prepare(second_retrain.workspace).as_of) + timedelta(days=days)
    with pytest.raises(GateRefused, match="start the promotion again"):
        recheck(second_retrain.workspace, 2, as_of=made)
