"""What contracts ask of the log's columns, told from its footers."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts import Contracts
from tasks.errors import DataError
from tasks.logs.schema_fit import SchemaFit, find_schema_problems, require_schema
from tests.contracts.files import Files, load_files, setting
from tests.logs.small_log import instants

IMPRESSIONS: dict[str, Any] = {
    "request_id": ["q", "q"],
    "user_id": ["u", "u"],
    "item_id": ["a", "b"],
    "shown_at": instants(0, 0),
    "position": [1, 2],
    "price": [1.0, 2.0],
    "category": ["x", "y"],
    "item_age": [1, 9],
    "margin": [0.1, 0.2],
    "tenure": ["new", "old"],
}
EVENTS: dict[str, Any] = {
    "event": ["click"],
    "happened_at": instants(0.5),
    "user_id": ["u"],
    "item_id": ["a"],
    "value": [1.0],
}


def _contracts(folder: Path, *changes: Any) -> Contracts:
    return load_files(folder / "surfaces", *changes)


def _write(logs: Path, table: str, columns: dict[str, Any], **changed: Any) -> None:
    (logs / "feed" / table).mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in {**columns, **changed}.items() if value is not None}
    pq.write_table(pa.table(kept), logs / "feed" / table / "part.parquet")


def fit(folder: Path, *changes: Any, events: Any = None, **impressions: Any) -> SchemaFit:
    _write(folder / "logs", "impressions", IMPRESSIONS, **impressions)
    _write(folder / "logs", "events", EVENTS, **(events or {}))
    return find_schema_problems(_contracts(folder, *changes), folder / "logs")


def test_a_log_that_has_what_is_asked_for_has_no_problem(tmp_path: Path) -> None:
    found = fit(tmp_path)
    assert found.problems == ()
    assert [(table.table, table.rows, table.missing) for table in found.tables] == [
        ("impressions", 2, None),
        ("events", 1, None),
    ]


def test_a_log_that_has_not_arrived_is_no_problem_and_said(tmp_path: Path) -> None:
    found = find_schema_problems(_contracts(tmp_path), tmp_path / "logs")
    assert found.problems == ()
    assert all("matches no Parquet file" in str(table.missing) for table in found.tables)


def context(**changes: Any) -> Any:
    """Return a change of the policy's one context."""
    plain = {"name": "new", "when": {"tenure": ["new"]}, "weights": {"return": -9.0}}
    return setting("utility.contexts", [plain | changes])


def multiplied(files: Files) -> None:
    files["utility"]["offset"] = {"scale": 0.1}
    files["utility"]["multipliers"] = [{"name": "less", "when": {"control": ["less"]}, "factor": 0.3}]
    files["slate"]["decay"] = {"by": "creator", "factor": 0.5}


def aimed(files: Files) -> None:
    files["surface"]["shown_is_all"] = True
    files["slate"]["exposure"] = {"by": "price", "least": {"new": 0.8}, "most": 0.1}


EXPLORATION = {"slots": 1, "where": {"column": "fresh", "equals": True}, "salt": "s"}
CHANGES: list[tuple[Any, dict[str, Any], str, str]] = [
    # change of the contracts, of the impressions, field, words
    (setting("surface.features.numeric", ["prise"]), {}, "sources.impressions", "Did you mean 'price'"),
    (setting("surface.columns", {"shown_at": "served"}), {"shown_at": None}, "sources.impressions", "Missing column 'served'"),
    (setting("slate.max_per", {"categry": 2}), {}, "max_per.categry", "Did you mean 'category'"),
    (setting("slate.max_where", {"sponsored": 2}), {}, "max_where.sponsored", "Missing column 'sponsored'"),
    (setting("slate.max_where", {"category": 2}), {}, "max_where.category", "of kind string"),
    (setting("slate.required_first", "pinned"), {}, "required_first", "Missing column 'pinned'"),
    (setting("slate.exploration", EXPLORATION), {}, "exploration.where.column", "Missing column 'fresh'"),
    (setting("slate.diversity", {"by": "creator", "strength": 0.1}), {}, "diversity.by", "Missing column 'creator'"),
    (setting("slate.exposure", {"by": "creator"}), {}, "exposure.by", "Missing column 'creator'"),
    (aimed, {}, "exposure.by", "must be string"),
    (setting("utility.hard_constraints", [{"name": "x", "keep_when": {"column": "permitted", "equals": True}}]), {}, "hard_constraints.0.keep_when.column", "Missing column 'permitted'"),
    (setting("utility.hard_constraints", [{"name": "x", "keep_when": {"column": "shown_at", "below_column": "category"}}]), {}, "hard_constraints.0.keep_when", "of kind string"),
    (setting("utility.hard_constraints", [{"name": "x", "keep_when": {"column": "price", "contained_in_column": "category"}}]), {}, "hard_constraints.0.keep_when", "it must be list"),
    (setting("utility.hard_constraints", [{"name": "x", "keep_when": {"column": "category", "contains": "tea"}}]), {}, "hard_constraints.0.keep_when.column", "it must be list"),
    (setting("utility.hard_constraints", [{"name": "x", "drop_when": {"column": "category", "above": 3}}]), {}, "hard_constraints.0.drop_when.column", "of kind string"),
    (setting("utility.hard_constraints", [{"name": "x", "drop_when": {"column": "price", "equals": "y"}}]), {}, "hard_constraints.0.drop_when.column", "must be string"),
    (lambda files: None, {"tenure": None}, "contexts.0.when.tenure", "Missing column 'tenure'"),
    (setting("utility.guardrails.0", {"metric": "source_entropy", "min": 0.1}), {}, "guardrails.0.metric", "Missing column 'source'"),
    (context(hard_constraints=[{"name": "rated", "keep_when": {"column": "child_safe", "equals": True}}]), {}, "contexts.0.hard_constraints.0.keep_when.column", "Missing column 'child_safe'"),
    (context(slate={"max_where": {"advert": 1}}), {}, "contexts.0.slate.max_where.advert", "Missing column 'advert'"),
    (multiplied, {}, "multipliers.0.when.control", "Missing column 'control'"),
    (multiplied, {}, "decay.by", "Missing column 'creator'"),
    (setting("surface.gates", {"decision": {"first": {"column": "popular"}}}), {}, "gates.decision.first.column", "Missing column 'popular'"),
    (setting("surface.gates", {"decision": {"first": {"column": "category"}}}), {}, "gates.decision.first.column", "of kind string"),
    (setting("utility.guardrails.0", {"metric": "age_share:7+", "max": 0.1}), {}, "guardrails.0.metric", "Known: 1-7, <1, >=7, unknown"),
    (lambda files: None, {"position": None}, "gates.decision.first", "no logged order"),
    (lambda files: None, {"position": pa.nulls(2, pa.int64())}, "gates.decision.first", "null in all 2 rows"),
    (setting("surface.examination", "estimated"), {"position": None}, "examination", "Missing column 'position'"),
    (setting("surface.training", {"click": {"weights": {"propensity": {}}}}), {}, "training.click.weights.propensity", "Missing column 'propensity'"),
    (setting("surface.training", {"click": {"weights": {"column": "worth"}}}), {}, "training.click.weights.column", "Missing column 'worth'"),
    (setting("tasks.tasks.click.sampling", {"negatives": 0.5, "by": {"country": {"de": 1}}}), {}, "tasks.click.sampling.by.country", "Missing column 'country'"),
    (setting("tasks.tasks.click.observed_when", {"column": "visible"}), {}, "sources.impressions", "Missing column 'visible'"),
    (lambda files: None, {"shown_at": pa.array([0, 0], pa.timestamp("us"))}, "sources.impressions", "convert"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "impressions", "field", "words"), CHANGES, ids=[f"{f}-{w}" for _, _, f, w in CHANGES])  # fmt: skip
def test_what_the_log_lacks_is_named_with_the_field_that_asks_for_it(
    tmp_path: Path, change: Any, impressions: dict[str, Any], field: str, words: str
) -> None:
    rails = {"metric": "return_predicted", "relative_increase_max": 0.05}

    def guarded(files: Files) -> None:
        change(files)
        if files["utility"]["guardrails"][0] != rails:
            files["utility"]["guardrails"].append(rails)

    found = fit(tmp_path, guarded, **impressions).problems
    assert any(p.field == field and words in p.hint for p in found), [str(p) for p in found]


def test_what_stays_inconclusive_without_a_column_is_warned_of(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["utility"]["guardrails"] += [{"metric": "latency_p99_ms", "max": 100}]
        files["surface"]["examination"] = "estimated"

    assert [one.field for one in fit(tmp_path, change).warnings] == ["guardrails.1.metric", "examination"]
    assert find_schema_problems(_contracts(tmp_path / "no_log", change), tmp_path / "nowhere").warnings == ()


def test_ids_of_two_types_are_told(tmp_path: Path) -> None:
    found = fit(tmp_path, events={"item_id": [1]}).problems
    assert [p.field for p in found] == ["sources.events"]
    assert "write both with one type" in found[0].hint


def test_a_file_that_is_no_parquet_is_one_problem(tmp_path: Path) -> None:
    fit(tmp_path)
    (tmp_path / "logs/feed/events/part.parquet").write_bytes(b"no parquet at all")
    (problem,) = find_schema_problems(_contracts(tmp_path), tmp_path / "logs").problems
    assert problem.field == "sources.events"
    assert "Deliver the file again" in problem.hint


def test_what_is_decided_on_is_asked_of_the_candidates_and_a_position_of_the_impressions_too(
    tmp_path: Path,
) -> None:
    more = {"shown": [True, False], "permitted": [True, False], "position": None}
    _write(tmp_path / "logs", "candidates", IMPRESSIONS, **more)
    permitted = [{"name": "x", "keep_when": {"column": "permitted", "equals": True}}]
    candidates = setting("surface.sources.candidates", "feed/candidates/*.parquet")
    assert fit(tmp_path, candidates, setting("utility.hard_constraints", permitted)).problems == ()


def test_beside_a_champion_a_task_that_lacks_its_own_column_is_warned_of_and_keeps_its_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(tmp_path)
    own = setting("surface.training", {"click": {"weights": {"column": "worth"}}})
    contracts = _contracts(tmp_path / "own", own)
    require_schema(contracts, tmp_path / "logs", first_release=False)
    assert "training.click.weights.column" in caplog.text
    assert "Until then the champion's model stays" in caplog.text
    with pytest.raises(DataError, match="Missing column 'worth'"):
        require_schema(contracts, tmp_path / "logs", first_release=True)


def test_beside_a_champion_no_logged_order_is_needed(tmp_path: Path) -> None:
    fit(tmp_path, position=None)
    contracts = _contracts(tmp_path)
    require_schema(contracts, tmp_path / "logs", first_release=False)
    with pytest.raises(DataError, match=r"1 problem\(s\) of the contracts with the log"):
        require_schema(contracts, tmp_path / "logs", first_release=True)
