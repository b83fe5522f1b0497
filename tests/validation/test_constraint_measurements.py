"""Hard constraints are measured as they are decided: what is unknown is dropped."""

from datetime import date, timedelta

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from tasks.contracts import UtilitySpec
from tasks.contracts.utility import HardConstraint
from tasks.ranking.conditions import evaluate_condition
from tasks.ranking.policy import HardConstraint as Decided
from tasks.ranking.policy import UtilityPolicy
from tasks.validation.constraint_measurements import keeps, measure_constraints
from tasks.validation.day_rules import compare_kept_shares
from tasks.validation.measurements import Measurement, fetch, frame_of

FRAME = pd.DataFrame(
    {
        "flag": pd.array([True, False, None, True], dtype="boolean"),
        "word": ["a", "b", None, "c"],
        "number": [1.0, 2.5, None, float("nan")],
        "bit": pd.array([1, 0, None, 1], dtype="Int64"),
    }
)


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "flag", "equals": True},
        {"column": "flag", "equals": False},
        {"column": "bit", "equals": True},
        {"column": "word", "one_of": ["a", "c"]},
        {"column": "number", "above": 1.5},
        {"column": "number", "below": 1.5},
    ],
)
@pytest.mark.parametrize("verb", ["keep_when", "drop_when"])
def test_what_is_kept_is_what_a_decision_keeps(
    engine: duckdb.DuckDBPyConnection, condition: dict[str, object], verb: str
) -> None:
    constraint = HardConstraint.model_validate({"name": "c", verb: condition})
    engine.register("log", pa.Table.from_pandas(FRAME, preserve_index=False))
    sql = fetch(engine, "SELECT $kept FROM log", kept=keeps(constraint))
    content = {"policy": "p", "version": 1, "owner": "o", "weights": {}, "hard_constraints": [
        {"name": "c", verb: condition}
    ]}  # fmt: skip
    decided: Decided = UtilityPolicy.from_json(content).hard_constraints[0]
    holds, known = evaluate_condition(FRAME, decided.condition, "the test")
    assert [kept for (kept,) in sql] == ((holds if verb == "keep_when" else ~holds) & known).tolist()


DAYS = 20


def broken(kept: list[int], of: int = 1000) -> list[str]:
    start = date(2026, 3, 1)
    frame = frame_of(
        Measurement("kept", "permitted", "", start + timedelta(days=n), rows, of)
        for n, rows in enumerate(kept)
    )
    return [sentence for _, sentence in compare_kept_shares(frame, least=0.2, least_dropped=30).broken]


def test_a_day_that_keeps_nothing_is_found_on_any_day_also_of_a_short_log() -> None:
    assert broken([0]) == ["permitted 2026-03-01: keeps 0 of 1,000 rows"]
    assert broken([950] * 5 + [0]) == ["permitted 2026-03-06: keeps 0 of 1,000 rows, usual 95.0%"]


@pytest.mark.parametrize("odd", [5, 12, DAYS - 1])
@pytest.mark.parametrize("rows", [100, 600, 1000])
def test_a_day_that_keeps_far_more_or_less_than_usual_is_found_wherever_it_lies(odd: int, rows: int) -> None:
    (found,) = broken([rows if n == odd else 900 + n % 3 for n in range(DAYS)])
    assert f"{date(2026, 3, 1) + timedelta(days=odd)}: keeps {rows:,} of 1,000" in found


def test_a_level_that_stays_is_found_while_it_is_new_and_then_usual() -> None:
    assert len(broken([900] * 10 + [500] * 2)) == 2
    assert broken([900] * 10 + [500] * 10) == []


def test_small_changes_and_few_rows_are_no_finding() -> None:
    assert broken([900 + 30 * (n % 3) for n in range(DAYS)]) == []
    assert broken([9 - n % 4 for n in range(DAYS)], of=10) == []
    assert broken([1000] * DAYS) == []
    assert broken([(910, 999, 950, 990)[n % 4] for n in range(DAYS - 1)] + [1000]) == []


def test_only_columns_that_the_table_has_are_measured(engine: duckdb.DuckDBPyConnection) -> None:
    utility = UtilitySpec.model_construct(
        hard_constraints=(
            HardConstraint.model_validate(
                {"name": "c", "keep_when": {"column": "permitted", "equals": True}}
            ),
            HardConstraint.model_validate({"name": "d", "keep_when": {"column": "absent", "equals": True}}),
        ),
        contexts=(),
    )
    engine.register("log", pa.table({
        "request_id": ["r1", "r2"], "item_id": ["i", "j"], "permitted": [True, None],
        "ds": [date(2026, 3, 1)] * 2,
    }))  # fmt: skip
    found = list(measure_constraints(engine, "log", utility, since=date(2026, 3, 1)))
    assert found == [
        Measurement("kept", "c", "", date(2026, 3, 1), 1, 2, 1.0),
        Measurement("constraint_nulls", "permitted", rows=1, of=2, examples="r2/j"),
    ]
