"""Rules are counted from certificates, in the order in which they claim slots."""

import json

import pandas as pd

from tasks.release.slate_rules import count_slate_rules

FRESH = {
    "rule": "min_where_if_available:fresh",
    "wanted": 2,
    "got": 0,
    "available": 1,
    "dropped": 3,
    "kept_out": {"length": 1},
}
MET = ["max_per:creator", "min_where_if_available:fresh", "length"]


def test_what_is_met_in_one_slate_and_not_in_another_stands_in_one_place() -> None:
    short = json.dumps({"met": ["max_per:creator", "length"], "unmet": [FRESH]})
    scored = pd.DataFrame({"certificate": [short, None, short, json.dumps({"met": MET, "unmet": []})]})
    counted = count_slate_rules(scored)
    assert [rule.rule for rule in counted] == MET
    fresh = counted[1]
    assert (fresh.slates, fresh.unmet, fresh.too_few, fresh.slots_short) == (3, 2, 2, 4)
    assert [rule.unmet for rule in counted] == [0, 2, 0]


def test_a_release_without_certificates_gives_no_counts() -> None:
    assert count_slate_rules(pd.DataFrame({"utility": [0.5]})) == ()
