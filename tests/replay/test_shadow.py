"""Two releases on the newest day: how they differ, what is kept of them, and whether the log can be rescored."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tasks.release import view as release_view
from tasks.release.inputs import served_inputs
from tasks.replay import shadow
from tasks.replay.evidence import Reproduction
from tasks.replay.logged_candidates import newest_candidates
from tasks.replay.shadow import reproduce
from tasks.stores import delta
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import LATER, NAME, Retrained
from tests.known import known
from tests.stores.plain_evidence import read_plain
from tests.verdicts import subject_of


@pytest.fixture(scope="module")
def beside(second_retrain: Retrained) -> shadow.ShadowResult:
    return shadow.run(second_retrain.workspace, as_of=LATER, challenger=2)


def test_a_first_release_has_nothing_beside_it(repeated: Retrained) -> None:
    evidence = mini.first_evidence(repeated.workspace, "shadow", release=1)
    assert (evidence["champion"], evidence["comparison"]) == (None, None)
    assert evidence["day"] == "2026-02-09"


def test_the_champion_by_alias_is_set_beside_the_challenger(beside: shadow.ShadowResult) -> None:
    assert (beside.challenger, beside.champion, beside.day) == (2, 1, "2026-02-11")
    assert beside.candidates == mini.REQUESTS_PER_DAY * 40


def test_overlap_correlation_and_shift_come_with_intervals(beside: shadow.ShadowResult) -> None:
    assert beside.comparison is not None
    assert beside.comparison["requests"] == mini.REQUESTS_PER_DAY
    for name, most in (("overlap_at_k", 1), ("rank_correlation", 1), ("score_shift", 10)):
        found = beside.comparison[name]
        assert 0 < found["low"] <= found["value"] <= found["high"] <= most


def test_what_was_served_is_compared_with_what_the_heads_learned_from(second_retrain: Retrained) -> None:
    """Cents and an affinity of 0 for all are found in every head, losses in those with weight; else nothing."""
    workspace = second_retrain.workspace
    release, logged = release_view.load(workspace, 2), newest_candidates(workspace, as_of=LATER)

    def found(candidates: pd.DataFrame) -> dict[str, set[tuple[str, str]]]:
        policy = workspace.contracts.utility
        inputs = served_inputs(workspace, release.manifest, release.heads, policy, candidates)
        assert not any(head.reason for head in inputs)
        return {head.task: {(one.feature, one.kind) for one in head.changes} for head in inputs}

    assert set(map(len, found(logged).values())) == {0}
    changed = logged.assign(price=logged["price"] * 100, user_category_affinity=0.0, margin=-logged["margin"])
    for task, of_head in found(changed).items():
        assert {("price", "scale"), ("user_category_affinity", "constant")} <= of_head, task
        weighing = set() if task == "dwell_seconds_1d" else {"margin"}
        assert {feature for feature, _ in of_head} == {"price", "user_category_affinity"} | weighing


def test_the_release_and_the_shadow_say_of_every_head_what_it_reads(second_retrain: Retrained) -> None:
    rows = {subject_of(one): one for one in second_retrain.result.gates if one["gate"] == "inputs"}
    assert set(rows) == {"features", "served_features"}
    assert {one["outcome"] for one in rows.values()} == {"pass"}
    assert rows["served_features"]["reason"].endswith(f"of {len(mini.TASKS)} heads: none changed")


def test_a_release_beside_itself_differs_by_nothing(second_retrain: Retrained) -> None:
    alike = shadow.run(second_retrain.workspace, as_of=LATER, challenger=2, champion=2)
    assert alike.comparison is not None
    assert alike.comparison["overlap_at_k"]["low"] == 1
    assert alike.comparison["score_shift"]["high"] == 0


def test_each_sampled_request_gets_an_answer_and_mlflow_serves_what_was_replayed(
    beside: shadow.ShadowResult,
) -> None:
    counted = {name: known(beside.failures)[name] for name in ("requests", "alone", "challenger", "champion")}
    assert counted == {"requests": mini.REQUESTS_PER_DAY, "alone": 12, "challenger": 0, "champion": 0}
    assert known(beside.packed) == {"rows": 12 * 40, "greatest_difference": 0.0, "problem": ""}


def test_what_the_clock_said_is_kept_beside_the_evidence_and_not_in_it(
    second_retrain: Retrained, beside: shadow.ShadowResult
) -> None:
    assert beside.times is not None
    assert (beside.times["requests"], beside.times["candidates"]) == (12, 12 * 40)
    assert beside.times["challenger_ms"]["value"] > 0
    evidence = read_plain(second_retrain.workspace.home, beside.run_id)
    assert not [name for name in evidence if "time" in name or "ms" in name.split("_")]


def test_the_same_shadow_again_is_the_same_run(
    second_retrain: Retrained, beside: shadow.ShadowResult
) -> None:
    assert shadow.run(second_retrain.workspace, as_of=LATER, challenger=2) == beside


def test_rows_of_a_shadow_that_died_are_replaced_and_not_doubled(
    second_retrain: Retrained, beside: shadow.ShadowResult
) -> None:
    workspace, client = second_retrain.workspace, second_retrain.workspace.store.registry.client
    before = _rows(workspace)
    client.set_terminated(beside.run_id, "KILLED")
    again = shadow.run(workspace, as_of=LATER, challenger=2)
    client.set_terminated(beside.run_id, "FINISHED")
    assert again.run_id != beside.run_id
    assert again.comparison == beside.comparison
    assert _rows(workspace) == before
    assert before["2026-02-11", 1] == before["2026-02-11", 2] == beside.candidates


def test_the_rows_say_what_each_release_would_have_done(
    second_retrain: Retrained, beside: shadow.ShadowResult
) -> None:
    kept = delta.read(second_retrain.workspace.home / "shadow" / NAME).to_pandas()
    assert {"request_id", "item_id", "p_click_30m", "utility", "slate_position", "release", "as_of"} <= set(
        kept
    )
    assert set(kept.loc[kept["release"] == 2, "as_of"]) == {pd.Timestamp(LATER)}


def _rows(workspace: Workspace) -> dict[tuple[str, int], int]:
    kept = delta.read(workspace.home / "shadow" / NAME, ["ds", "release"]).to_pandas()
    return {(str(day), int(release)): n for (day, release), n in kept.value_counts().items()}


# What was logged when serving.

SCORED = {7: pd.DataFrame({"p_click": [0.1, 0.2, 0.3, 0.4], "utility": [1.0, 2.0, 3.0, 4.0]})}


def served(**columns: list[Any]) -> pd.DataFrame:
    logged = {
        "release": [7, 7, 8, None],
        "served_p_click": [0.1, 0.2, 0.9, None],
        "served_utility": [1.0, 2.0, 9.0, None],
    }
    return pd.DataFrame(logged | columns)


def test_what_the_release_served_is_reproduced() -> None:
    assert reproduce(served(), SCORED, tasks=["click"]) == Reproduction(rows=4, greatest_difference=0.0)


def test_a_difference_of_a_millionth_is_rounding() -> None:
    found = known(reproduce(served(served_p_click=[0.1 + 9e-7, 0.2, 0.9, None]), SCORED, tasks=["click"]))
    assert found.greatest_difference == pytest.approx(9e-7)


def test_a_greater_difference_is_refused_and_named() -> None:
    with pytest.raises(DataError, match=r"Release 7 served 'served_p_click' up to 1e-05 away"):
        reproduce(served(served_p_click=[0.1, 0.2 - 1e-5, 0.9, None]), SCORED, tasks=["click"])


def test_what_another_release_served_is_not_looked_at() -> None:
    assert reproduce(served(release=[8, 8, 8, 8]), SCORED, tasks=["click"]) is None


def test_a_log_that_does_not_say_what_was_served_cannot_be_reproduced() -> None:
    assert reproduce(served().drop(columns="release"), SCORED, tasks=["click"]) is None
    assert reproduce(served()[["release"]], SCORED, tasks=["click"]) is None


@pytest.fixture
def log_of_release_1(second_retrain: Retrained, mini_world: Path, tmp_path: Path) -> Path:
    """The log of one day on which release 1 served and wrote down what it predicted."""
    folder = tmp_path / NAME
    for table in ("impressions", "events", "candidates"):
        (folder / table).mkdir(parents=True)
        rows = pq.read_table(mini_world / table / "2026-02-11.parquet")
        if table == "candidates":
            now = release_view.load(second_retrain.workspace, 1).score(rows.to_pandas())
            logged = {"served_p_click_30m": now["p_click_30m"], "served_p_return_5d": now["p_return_5d"]}
            for name, values in (logged | {"served_utility": now["utility"]}).items():
                rows = rows.append_column(name, pa.array(values, pa.float64()))
            rows = rows.append_column("release", pa.array([1] * len(rows)))
        pq.write_table(rows, folder / table / "day.parquet")
    return folder


def test_a_day_that_a_release_served_is_rescored_to_what_it_served(
    second_retrain: Retrained, log_of_release_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_LOGS", str(log_of_release_1.parent))
    ran = shadow.run(second_retrain.workspace, as_of=LATER - timedelta(seconds=1), challenger=2)
    assert ran.reproduced is not None
    assert ran.reproduced["greatest_difference"] < 1e-6
    assert ran.reproduced["rows"] == 3 * ran.candidates


def test_a_feature_logged_otherwise_than_served_stops_the_shadow(
    second_retrain: Retrained, log_of_release_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_LOGS", str(log_of_release_1.parent))
    file = log_of_release_1 / "candidates" / "day.parquet"
    rows = pq.read_table(file)
    index = rows.column_names.index("item_click_rate")
    doubled = pc.multiply(rows.column(index), 2)
    pq.write_table(rows.set_column(index, "item_click_rate", doubled), file)
    with pytest.raises(DataError, match="the log differs from what was served"):
        shadow.run(second_retrain.workspace, as_of=LATER - timedelta(seconds=2), challenger=2)
