from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.slate import SlateSpec
from tasks.errors import DataError
from tasks.ranking.rules import SlateColumns
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
    return SlateColumns.of(ROWS, SlateSpec.model_validate(slate_json(**rules)))


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


def test_some_of_the_rules_are_what_a_policy_of_them_alone_sees() -> None:
    rules: dict[str, Any] = {"max_per": {"creator": 1}, "max_where": {"must": 1}, "required_first": "must"}
    rules |= {"min_where_if_available": {"fresh": 1}, "diversity": {"by": "creator", "strength": 0.1}}
    every = columns(**rules)
    assert every.names == (
        "max_per:creator",
        "max_where:must",
        "min_where_if_available:fresh",
        "required_first",
        "diversity",
    )
    for name, field in zip(every.names, (*list(rules)[:2], *list(rules)[3:1:-1], "diversity"), strict=True):
        one, alone = every.only({name}), columns(**{field: rules[field]})
        assert one.names == alone.names == (name,)
        for mine, other in zip(one.requirements(), alone.requirements(), strict=True):
            assert mine[0] == other[0]
            np.testing.assert_array_equal(mine[1], other[1])
    assert every.only(every.names).names == every.names
    assert every.only(()).names == ()
