"""A search is its seed, its rows and its trials: killed and continued, it ends where it would have ended."""

import itertools
import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from tasks.contracts.training import Search
from tasks.training.search import SearchResult, Trial, search, search_space

OWN = {"num_leaves": 4, "learning_rate": 0.3, "rounds": 40}
BUDGET = Search(trials=12, seconds=600)


def bowl(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
    """Forty trees whose loss falls to a floor that is lowest at a rate of 0.1 and 30 leaves."""
    off = abs(math.log(parameters["learning_rate"] / 0.1)) + abs(math.log(parameters["num_leaves"] / 30))
    for tree in range(40):
        loss = 1 + off + math.exp(-tree / 5)
        watch(SimpleNamespace(iteration=tree, evaluation_result_list=[("fold", "loss", loss, False)]))


@pytest.fixture(scope="module")
def whole() -> SearchResult:
    return search(bowl, OWN, BUDGET)


def test_the_first_trial_is_the_contracts_own_to_the_letter(whole: SearchResult) -> None:
    asked: list[Mapping[str, float]] = []

    def noted(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
        asked.append(dict(parameters))
        bowl(parameters, watch)

    search(noted, OWN, Search(trials=2, seconds=600))
    assert asked[0] == OWN
    assert whole.trials[0].parameters["num_leaves"] == OWN["num_leaves"]
    assert whole.summary().contract_loss == whole.trials[0].loss


def test_it_ends_below_the_contracts_loss_and_keeps_what_is_not_searched(whole: SearchResult) -> None:
    assert whole.best is not None
    assert whole.best.loss < whole.trials[0].loss
    assert whole.parameters["rounds"] == OWN["rounds"]
    assert {name: whole.parameters[name] for name in search_space(OWN)} == dict(whole.best.parameters)


def test_hopeless_trials_are_pruned_and_never_win(whole: SearchResult) -> None:
    pruned = [tried for tried in whole.trials if tried.state == "pruned"]
    assert pruned
    assert all(max(tried.curve) < 40 for tried in pruned)
    assert whole.best in [tried for tried in whole.trials if tried.state == "complete"]
    assert whole.summary().pruned == len(pruned)


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(whole: SearchResult) -> None:
    assert tries(search(bowl, OWN, BUDGET)) == tries(whole)
    assert tries(search(bowl, OWN, BUDGET, seed=1))[1:] != tries(whole)[1:]


@pytest.mark.parametrize("kept", [1, 5, 9])
def test_a_search_that_was_killed_goes_on_with_the_trials_that_are_there(
    whole: SearchResult, kept: int
) -> None:
    told: list[Trial] = []
    found = search(bowl, OWN, BUDGET, before=whole.trials[:kept], tell=told.append)
    assert [tried.number for tried in told] == list(range(kept, BUDGET.trials))
    assert tries(found) == tries(whole)
    assert found.parameters == whole.parameters


def test_a_trial_that_is_missing_takes_those_after_it_along(whole: SearchResult) -> None:
    left = [tried for tried in whole.trials if tried.number != 3]
    told: list[Trial] = []
    search(bowl, OWN, BUDGET, before=left, tell=told.append)
    assert told[0].number == 3


def test_a_finished_search_tries_nothing_more(whole: SearchResult) -> None:
    assert search(refuses, OWN, BUDGET, before=whole.trials).parameters == whole.parameters


def test_seconds_that_are_used_up_end_it_after_the_first_trial_and_it_says_so(whole: SearchResult) -> None:
    slow = [Trial(0, whole.trials[0].parameters, "complete", 2.0, {}, seconds=10.0)]
    found = search(refuses, OWN, Search(trials=12, seconds=5), before=slow)
    assert (len(found.trials), found.ended_by) == (1, "seconds")
    assert found.parameters == OWN


def test_a_trial_that_time_runs_out_in_does_not_count_but_the_first_always_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count()
    monkeypatch.setattr("tasks.training.search.time", SimpleNamespace(monotonic=lambda: next(clock)))
    begun: list[float] = []

    def noted(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
        begun.append(parameters["num_leaves"])
        bowl(parameters, watch)

    found = search(noted, OWN, Search(trials=12, seconds=7))
    assert (len(begun), len(found.trials), found.ended_by) == (2, 1, "seconds")
    assert found.trials[0].state == "complete"
    assert len(search(bowl, OWN, Search(trials=12, seconds=1)).trials) == 1


def test_without_held_out_rows_the_contracts_parameters_stay(whole: SearchResult) -> None:
    found = search(lambda parameters, watch: None, OWN, BUDGET)
    assert (found.parameters, found.best, found.ended_by) == (OWN, None, "nothing held out")


def test_a_metric_that_is_better_when_higher_is_turned_round() -> None:
    def rising(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
        result = [("fold", "ndcg@5", parameters["learning_rate"], True)]
        watch(SimpleNamespace(iteration=0, evaluation_result_list=result))

    found = search(rising, OWN | {"learning_rate": 0.02}, BUDGET)
    assert found.parameters["learning_rate"] == max(t.parameters["learning_rate"] for t in found.trials)


def test_ranges_hold_the_contracts_own_values() -> None:
    for own in ({"num_leaves": 2, "lambda_l2": 500.0}, {"min_data_in_leaf": 9000, "learning_rate": 1.0}):
        ranges = search_space(own)
        assert all(ranges[name].low <= value <= ranges[name].high for name, value in own.items())


def test_it_finds_more_leaves_for_an_interaction_that_two_leaves_cannot_learn() -> None:
    random = np.random.default_rng(0)
    x = random.random((4000, 2))
    y = ((x[:, 0] > 0.5) ^ (x[:, 1] > 0.5)).astype(float)

    def train(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
        settings = {**parameters, "objective": "binary", "verbosity": -1, "num_threads": 1}
        rounds = settings.pop("rounds")
        data = lgb.Dataset(x[:3000], y[:3000], params=settings)
        held_out = data.create_valid(x[3000:], y[3000:])
        lgb.train(settings, data, rounds, valid_sets=[held_out], callbacks=[watch])

    own = {"num_leaves": 2, "learning_rate": 0.1, "rounds": 20}
    found = search(train, own, Search(trials=4, seconds=600))
    assert found.parameters["num_leaves"] > 2
    assert found.best is not None
    assert found.best.loss < 0.9 * found.trials[0].loss


def tries(found: SearchResult) -> list[tuple[object, ...]]:
    return [(t.number, dict(t.parameters), t.state, t.loss, dict(t.curve)) for t in found.trials]


def refuses(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
    raise AssertionError("nothing was to be tried any more")
