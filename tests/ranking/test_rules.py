from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ranking.candidates import CandidateSets
from tasks.ranking.rules import SlateColumns
from tasks.ranking.slate_policy import SlatePolicy
from tests.ranking.policies import slate_json

ROWS = pd.DataFrame(
    {
        "request_id": ["r", "r", "r", "s"],
        "item_id": ["a", "b", "c", "a"],
        "creator": ["ana", None, "ana", None],
        "fresh": [True, None, True, False],
        "must": [True, False, None, True],
    }
)


def columns(**rules: Any) -> SlateColumns:
    return SlateColumns.of(ROWS, SlatePolicy.from_json(slate_json(**rules)))


def test_what_fell_short_is_counted_per_request() -> None:
    rules = columns(length=2, min_where_if_available={"fresh": 2}, required_first="must")
    kept = np.array([True, True, False, True])
    placed = np.array([False, True, False, True])
    everyone = np.ones(2, dtype=bool)
    unmet = rules.unmet(kept, placed, CandidateSets.of(ROWS), among=everyone)
    assert unmet.to_dict("split")["data"] == [
        ["r", "length", 2, 1, 2],
        ["s", "length", 2, 1, 1],
        ["r", "min_where_if_available:fresh", 2, 0, 1],
        ["s", "min_where_if_available:fresh", 2, 0, 0],
        ["r", "required_first", 1, 0, 1],
    ]


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"max_per": {"creators": 1}}, "max_per:creators"),
        ({"max_where": {"creators": 1}}, "max_where:creators"),
        ({"min_where_if_available": {"creators": 1}}, "min_where_if_available:creators"),
        ({"required_first": "creators"}, "required_first"),
        ({"diversity": {"by": "creators", "strength": 1.0}}, "diversity"),
    ],
)
def test_a_missing_column_refuses_the_batch_and_names_the_rule(rules: dict[str, Any], rule: str) -> None:
    with pytest.raises(DataError, match=f"'creators'.*Did you mean 'creator'.*slate rule '{rule}' needs it"):
        columns(**rules)


def test_a_rule_that_counts_what_is_true_needs_booleans() -> None:
    with pytest.raises(DataError, match="'creator' holds text, and slate rule 'max_where:creator'"):
        columns(max_where={"creator": 1})
