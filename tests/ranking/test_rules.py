from typing import Any

import pandas as pd
import pytest

from tasks.errors import DataError
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


def test_requirements_claim_slots_in_order() -> None:
    rules = columns(length=2, min_where_if_available={"must": 2, "fresh": 1}, required_first="must")
    assert [(name, least) for name, _, least in rules.requirements()] == [
        ("required_first", None),
        ("min_where_if_available:fresh", 1),
        ("min_where_if_available:must", 2),
        ("length", 2),
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
