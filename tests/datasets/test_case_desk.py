"""The simulated workbench: its truth is what happens, and its contracts keep forbidden actions off every slate."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks import columns as c
from tasks.cli import main
from tasks.contracts import Contracts, load_surface
from tasks.contracts.utility import UtilitySpec
from tasks.datasets.case_desk import EXAMINATION, generate_case_desk
from tasks.labels import build as labels
from tasks.labels.show import show
from tasks.ranking.decide import Decision, decide
from tasks.stores.workspace import Workspace
from tests.feeds.mini import SURFACES
from tests.stores.mlflow_home import new_home

DAYS, REQUESTS_PER_DAY = 20, 500
OUTCOMES = {
    "accepted_15m": "accepted",
    "case_progress_3d": "progressed",
    "rework_30d": "reworked",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_home(tmp_path_factory.mktemp("desk") / "home")


@pytest.fixture(scope="module")
def world(home: Path) -> Path:
    out = home / "logs" / "case_desk"
    generate_case_desk(days=DAYS, requests_per_day=REQUESTS_PER_DAY, seed=7, out=out)
    return out


@pytest.fixture(scope="module")
def log(world: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": "1"}) as connection:
        for table in ("impressions", "events", "candidates"):
            connection.execute(f"CREATE VIEW {table} AS FROM '{world}/{table}/*.parquet'")
        connection.execute(f"CREATE VIEW truth AS FROM '{world}/truth.parquet'")
        yield connection


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return load_surface(SURFACES, "case_desk")


@pytest.mark.parametrize("task", OUTCOMES)
def test_what_happens_is_as_probable_as_the_truth_says(log: duckdb.DuckDBPyConnection, task: str) -> None:
    happened = (log.sql("FROM events").df()["event"] == OUTCOMES[task]).sum()
    chance = log.sql("FROM truth").df()[f"p_{task}__shown"]
    assert abs(happened - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())


def test_cases_are_resolved_by_their_own_deadline_as_the_truth_says(log: duckdb.DuckDBPyConnection) -> None:
    ((met, expected, variance),) = log.sql(
        """SELECT count(happened_at), sum(p_sla_met__shown), sum(p_sla_met__shown * (1 - p_sla_met__shown))
           FROM impressions JOIN truth USING (request_id, item_id)
           LEFT JOIN (SELECT * FROM events WHERE event = 'resolved') e USING (request_id, item_id)
           WHERE sla_due > shown_at AND coalesce(happened_at < sla_due, true)"""
    ).fetchall()
    ((rows,),) = log.sql("SELECT count(*) FROM impressions WHERE sla_due > shown_at").fetchall()
    assert rows > 0.9 * DAYS * REQUESTS_PER_DAY * len(EXAMINATION)
    assert abs(met - expected) < 4 * np.sqrt(variance)


def test_more_days_leave_the_earlier_ones_as_they_are(world: Path, tmp_path: Path) -> None:
    generate_case_desk(days=2, requests_per_day=REQUESTS_PER_DAY, seed=7, out=tmp_path / "short")
    for table in ("candidates", "impressions", "events"):
        file = f"{table}/2026-01-02.parquet"
        assert pq.read_table(tmp_path / "short" / file).equals(pq.read_table(world / file))


def test_the_command_writes_the_desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "desk"
    words = f"world generate --world case_desk --days 1 --requests-per-day 3 --seed 1 --out {out}".split()
    assert main(words) == 0
    assert json.loads((out / "world.json").read_text())["parameters"]["world"] == "case_desk"
    assert main([*words, "--user-controls"]) == 2
    assert "need --world home_feed" in capsys.readouterr().err


# -- labels


@pytest.mark.usefixtures("world")
def test_a_deadline_matures_the_label_of_its_own_case(home: Path) -> None:
    workspace = Workspace.open("case_desk", surfaces=SURFACES, home=home)
    labels.run(workspace, as_of=datetime(2026, 1, 21, tzinfo=UTC))
    shown = show(workspace).tasks["sla_met"]
    assert 0.03 < shown["positive"] / shown["observed"] < 0.25
    assert 0.2 < shown["immature"] / (DAYS * REQUESTS_PER_DAY * len(EXAMINATION)) < 0.5
    assert shown["observed"] > 0.5 * DAYS * REQUESTS_PER_DAY * len(EXAMINATION)


# -- the policy on ten thousand cases, by the estimates that the log has


def decided(candidates: pd.DataFrame, utility: UtilitySpec, contracts: Contracts) -> Decision:
    accept, progress = candidates["action_accept_rate"], candidates["action_progress_rate"]
    predictions = {
        "p_accepted_15m": accept.to_numpy(),
        "p_case_progress_3d": (accept * progress).to_numpy(),
        "p_sla_met": (accept * progress * 0.7).to_numpy(),
        "p_rework_30d": (accept * progress * candidates["action_rework_rate"]).to_numpy(),
    }
    return decide(candidates, predictions, utility, contracts.slate)


@pytest.fixture(scope="module")
def candidates(log: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return log.sql("FROM candidates").df()


FORBIDDEN = {
    "other_tenant": "action_tenant != tenant",
    "not_permitted": "NOT list_contains(permissions, required_permission)",
    "wrong_state": "NOT list_contains(allowed_states, case_state)",
    "wrong_jurisdiction": "NOT list_contains(jurisdictions, jurisdiction)",
    "not_yet_valid": "valid_from >= shown_at",
    "expired": "valid_until <= shown_at",
}


def test_no_forbidden_action_reaches_a_slot_of_ten_thousand_requests(
    log: duckdb.DuckDBPyConnection, candidates: pd.DataFrame, contracts: Contracts
) -> None:
    """The log has shown some of each: its policy knows no constraints."""
    decision = decided(candidates, contracts.utility, contracts)
    slots = candidates[decision.slate_position > 0]
    assert slots[c.REQUEST_ID].nunique() == DAYS * REQUESTS_PER_DAY == 10_000
    assert {one.name for one in contracts.utility.hard_constraints} == FORBIDDEN.keys()
    log.register("slots", slots)
    for name, forbidden in FORBIDDEN.items():
        logged, shown = (len(log.table(of).filter(forbidden)) for of in ("impressions", "slots"))
        assert (logged > 100, shown) == (True, 0), name


def test_acceptance_alone_raises_acceptance_and_rework(
    candidates: pd.DataFrame, contracts: Contracts
) -> None:
    alone = contracts.utility.model_dump(mode="json", exclude_defaults=True)
    alone |= {"weights": {"accepted_15m": 1.0}, "terms": {}, "contexts": []}
    rates = [
        mean_rates(candidates, decided(candidates, utility, contracts))
        for utility in (contracts.utility, UtilitySpec.model_validate(alone))
    ]
    accepted, reworked = (second / first for first, second in zip(*rates, strict=True))
    assert accepted > 1.1
    assert reworked > 1.1


def mean_rates(candidates: pd.DataFrame, decision: Decision) -> tuple[float, float]:
    """Return the acceptance of examined slots, and the rework per accepted one, by the logged estimates."""
    looked = np.append(EXAMINATION, 0.0)[decision.slate_position - 1]
    accepted = looked * candidates["action_accept_rate"]
    reworked = accepted * candidates["action_progress_rate"] * candidates["action_rework_rate"]
    return accepted.sum() / looked.sum(), reworked.sum() / accepted.sum()
