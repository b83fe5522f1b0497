"""The pairs of tasks are evidence, and words say which of them pull apart."""

import json

import numpy as np
import pytest

from tasks.evaluation.conflicts import ConflictEvidence, measure_conflicts
from tasks.release.conflicts import describe_overlaps

RNG = np.random.default_rng(3)
N = 3000
BAIT = RNG.random(N)
PREDICTIONS = {"click": BAIT, "like": 1 - BAIT + 0.1 * RNG.random(N), "<hide>": BAIT**2}


@pytest.fixture(scope="module")
def found() -> ConflictEvidence:
    outcomes = {name: (RNG.random(N) < 0.5 * p).astype(float) for name, p in PREDICTIONS.items()}
    outcomes["like"] = np.full(N, np.nan)
    users = RNG.integers(200, size=N)
    return measure_conflicts(PREDICTIONS, outcomes, users, costs=["<hide>"])


def test_it_is_plain_json_of_every_pair(found: ConflictEvidence) -> None:
    plain = found.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert [pair.tasks for pair in found.pairs] == [
        ("click", "like"),
        ("click", "<hide>"),
        ("like", "<hide>"),
    ]
    assert found.pairs[1].predictions == pytest.approx(1)
    assert plain["pairs"][0]["outcomes"] is None


def test_words_name_what_is_a_costs_top_more_often_than_by_chance(found: ConflictEvidence) -> None:
    [said] = describe_overlaps(found)
    assert said.startswith("click: 1")
    assert said.endswith("of its top tenth is in <hide>'s, by chance 0.1")
