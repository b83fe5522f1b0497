from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError
from tasks.training import fit
from tasks.training.examples import Examples, StoredFeatures
from tasks.training.fit import (
    Fitted,
    Learning,
    Loss,
    fit_head,
    is_constant,
    run_lengths,
    scale_scores,
    shift_scores,
    stack_boosters,
)
from tasks.training.sampling import balance_classes
from tests.training.every_head import CHEAP_AND_DEAR, EVERY, NAMES, SMALL, N, examples_of, loss_of

LEARNED = ("parameters", "loss", "monotone", "loss_weight", "seed")


def world(n: int = 6000, rate: float = 0.1, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, outcomes and a fold; the odds rise with price and in category 2."""
    random = np.random.default_rng(seed)
    features = np.column_stack([random.random(n), random.random(n), random.integers(0, 4, n)]).astype(float)
    logit = np.log(rate / (1 - rate)) + 3 * (features[:, 0] - 0.5) + (features[:, 2] == 2)
    return features, (random.random(n) < 1 / (1 + np.exp(-logit))).astype(float), random.random(n) < 0.1


def examples(features: Any, labels: np.ndarray, fold: np.ndarray, **more: Any) -> Examples:
    return Examples(features, labels, fold, NAMES, ("category",), **more)


def learn(
    features: Any, labels: np.ndarray, fold: np.ndarray, *, rows: dict[str, Any] | None = None, **more: Any
) -> Fitted:
    learned = {name: more.pop(name) for name in LEARNED if name in more}
    learning = Learning(**{"parameters": SMALL} | {n: v for n, v in learned.items() if v is not None})
    return fit_head(examples(features, labels, fold, **(rows or {})), learning, **{"threads": 1, **more})


def constant(value: float, fold: np.ndarray) -> dict[str, np.ndarray]:
    return {"offsets": np.full(len(fold), value)}


def test_the_same_rows_and_seed_give_the_same_bytes() -> None:
    assert learn(*world()).text == learn(*world()).text


def test_stored_rows_make_the_same_bytes_as_a_table_and_a_matrix(tmp_path: Path) -> None:
    features, labels, fold = world()
    features[::7, 0] = np.nan
    features[:, 1] *= features[:, 1] > 0.95  # mostly 0, as what LightGBM bundles
    offsets = np.linspace(-1, 0, len(labels))
    table = pa.table([pa.array(column, from_pandas=True) for column in features.T], names=list(NAMES))
    pieces = [table[begin : begin + 1000] for begin in range(0, len(table), 1000)]
    stored = StoredFeatures.write(pieces, tmp_path, width=len(NAMES))
    chunked = pa.concat_tables(pieces)
    first = learn(table, labels, fold).booster
    for start in (None, first):
        bins = {**SMALL, "bin_construct_sample_cnt": 500}
        known = {"rows": {"offsets": offsets}, "start": start, "parameters": bins}
        texts = {learn(one, labels, fold, **known).text for one in (features, table, chunked, stored)}
        assert len(texts) == 1


def test_another_seed_gives_other_bytes_where_chance_plays_a_part() -> None:
    random = {**SMALL, "bagging_fraction": 0.5, "bagging_freq": 1}
    one, two = (learn(*world(), parameters=random, seed=seed).text for seed in (1, 2))
    assert one != two


def test_the_text_is_the_model_and_undoes_the_sampling() -> None:
    features, labels, fold = world()
    fitted = learn(features, labels, fold, rows=constant(-np.log(0.25), fold))
    features, _, _ = world(seed=2)
    again = lgb.Booster(model_str=fitted.text)
    np.testing.assert_array_equal(again.predict(features), fitted.booster.predict(features))
    assert again.model_to_string() == fitted.text
    assert again.num_trees() == fitted.rounds


def test_the_trees_learn_what_raises_the_odds() -> None:
    fitted = learn(*world())
    cheap, dear = fitted.booster.predict(np.array([[0.1, 0.5, 0], [0.9, 0.5, 2]]))
    assert cheap < 0.06
    assert dear > 0.3
    assert fitted.gains["price"] > fitted.gains["category"] > fitted.gains["age"]
    assert all(fitted.splits[name] > 0 for name in ("price", "category"))


def test_a_missing_feature_value_is_no_error() -> None:
    features, labels, fold = world()
    features[::7, 0] = np.nan
    features[::5, 2] = np.nan
    assert np.isfinite(learn(features, labels, fold).booster.predict(features)).all()


def test_held_out_users_stop_the_trees_and_are_not_learned_from() -> None:
    features, labels, fold = world()
    long = {**SMALL, "rounds": 500, "learning_rate": 0.3}
    stopped = learn(features, labels, fold, parameters=long)
    assert stopped.rounds < 100
    assert stopped.fold_loss is not None
    predicted = stopped.booster.predict(features[fold])
    loss = -np.mean(np.log(np.where(labels[fold] == 1, predicted, 1 - predicted)))
    assert loss == pytest.approx(stopped.fold_loss, rel=1e-6)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_a_fold_of_one_outcome_cannot_stop_the_trees_so_all_rows_are_learned_from(outcome: float) -> None:
    features, labels, fold = world()
    labels[fold] = outcome
    fitted = learn(features, labels, fold)
    assert fitted.fold_loss is None
    assert fitted.rounds == SMALL["rounds"]


@pytest.mark.parametrize("objective", EVERY)
def test_where_all_positives_are_of_users_held_out_nobody_is(objective: Any) -> None:
    """Without them a constant would be learned, or LightGBM would end in an error of its own."""
    rows = examples_of(objective)
    features: Any = rows.features
    rows = replace(rows, labels=np.where(rows.fold & (features[:, 0] > 0.5), 1.0, 0.0))
    fitted = fit_head(rows, Learning(loss=loss_of(objective, quantile=0.93), parameters=SMALL))
    assert fitted.fold_loss is None
    cheap, dear = fitted.booster.predict(CHEAP_AND_DEAR)
    assert cheap < dear


def test_a_fold_without_rows_is_no_error() -> None:
    features, labels, _ = world()
    assert learn(features, labels, np.zeros(len(labels), dtype=bool)).fold_loss is None


def test_sampled_negatives_are_undone_in_the_model_itself() -> None:
    features, labels, fold = world(60_000, rate=0.02)
    kept = (labels == 1) | (np.random.default_rng(3).random(len(labels)) < 0.1)
    fresh, outcomes, _ = world(60_000, rate=0.02, seed=4)
    fitted = learn(features[kept], labels[kept], fold[kept], rows=constant(-np.log(0.1), fold[kept]))
    assert fitted.booster.predict(fresh).sum() == pytest.approx(outcomes.sum(), rel=0.1)
    biased = learn(features[kept], labels[kept], fold[kept])
    shift = fitted.booster.predict(fresh, raw_score=True) - biased.booster.predict(fresh, raw_score=True)
    np.testing.assert_allclose(shift, np.log(0.1), atol=1e-6)
    assert biased.booster.predict(fresh).sum() > 4 * outcomes.sum()


def test_a_loss_weight_moves_separate_trees_by_nothing_but_their_regularisation() -> None:
    features, labels, fold = world()
    free = {**SMALL, "min_sum_hessian_in_leaf": 0.0, "cat_l2": 0.0, "cat_smooth": 0.0}
    light, heavy = (learn(features, labels, fold, parameters=free, loss_weight=w) for w in (1.0, 4.0))
    np.testing.assert_allclose(
        light.booster.predict(features), heavy.booster.predict(features), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("parameters", [SMALL, {**SMALL, "bagging_fraction": 0.5, "bagging_freq": 1}])
def test_any_number_of_threads_gives_the_same_bytes(parameters: Any) -> None:
    features, labels, fold = world(20_000)
    heavy = {"weights": np.random.default_rng(4).random(len(labels)) + 0.1, "offsets": features[:, 1]}
    texts = {
        learn(features, labels, fold, rows=heavy, parameters=parameters, threads=n).text for n in (1, 2, 3)
    }
    assert len(texts) == 1


@pytest.mark.parametrize("objective", EVERY)
def test_bins_read_by_column_make_the_trees_of_bins_copied_by_row(
    objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, learning, texts = examples_of(objective), Learning(loss=loss_of(objective), parameters=SMALL), []
    for largest in (fit.LARGEST_COPY, 0):
        monkeypatch.setattr(fit, "LARGEST_COPY", largest)
        texts.append(fit_head(rows, learning, threads=1).text)
    assert len({text.partition("end of trees")[0] for text in texts}) == 1
    assert ["force_col_wise: 1" in text for text in texts] == [False, True]


def test_offsets_by_row_are_learned_around_and_left_out_of_the_scores() -> None:
    """Negatives of category 2 are kept at .5, others at .05; the odds in the log are learned all the same."""
    features, labels, fold = world(120_000, rate=0.02)
    rates = np.where(features[:, 2] == 2, 0.5, 0.05)
    kept = (labels == 1) | (np.random.default_rng(3).random(len(labels)) < rates)
    fitted = learn(features[kept], labels[kept], fold[kept], rows={"offsets": -np.log(rates[kept])})
    fresh, outcomes, _ = world(120_000, rate=0.02, seed=4)
    for category in range(4):
        rows = fresh[:, 2] == category
        assert fitted.booster.predict(fresh[rows]).sum() == pytest.approx(outcomes[rows].sum(), rel=0.1)


@pytest.mark.parametrize("weighed", [False, True])
def test_sampling_by_segment_is_undone_to_the_last_digit_whatever_rows_weigh(weighed: bool) -> None:
    """Trees that may split all they like end at the odds of each segment, counted by hand."""
    random = np.random.default_rng(6)
    segment = random.integers(0, 3, 3000).astype(float)
    labels = (random.random(3000) < np.array([0.1, 0.2, 0.4])[segment.astype(int)]).astype(float)
    rates = np.array([0.5, 0.1, 1.0])[segment.astype(int)]
    kept = (labels == 1) | (random.random(3000) < rates)
    w = random.integers(1, 4, 3000).astype(float) if weighed else np.ones(3000)
    of_all = np.where(labels == 1, w, w / rates)[kept]
    free = {"rounds": 300, "learning_rate": 0.5, "num_leaves": 4, "min_data_in_leaf": 1}
    rows = Examples(
        segment[kept][:, None],
        labels[kept],
        np.zeros(kept.sum(), dtype=bool),
        ("segment",),
        weights=w[kept] if weighed else None,
        offsets=-np.log(rates[kept]),
    )
    booster = fit_head(rows, Learning(parameters={**free, "min_sum_hessian_in_leaf": 0.0}), threads=1).booster
    for value, said in enumerate(booster.predict(np.array([[0.0], [1.0], [2.0]]))):
        mine = segment[kept] == value
        assert said == pytest.approx(
            of_all[mine & rows.labels.astype(bool)].sum() / of_all[mine].sum(), rel=1e-5
        )


def test_balanced_weights_are_undone_in_the_scores() -> None:
    features, labels, fold = world(60_000, rate=0.02)
    balanced, offset = balance_classes(labels, None)
    rows = {"weights": balanced, "offsets": np.full(len(labels), offset)}
    fresh, outcomes, _ = world(60_000, rate=0.02, seed=4)
    predicted = learn(features, labels, fold, rows=rows).booster.predict(fresh)
    assert predicted.sum() == pytest.approx(outcomes.sum(), rel=0.1)


@pytest.mark.parametrize("objective", EVERY)
def test_new_trees_are_added_to_those_of_the_start(objective: Any) -> None:
    rows, loss = examples_of(objective), loss_of(objective)
    few = fit_head(rows, Learning(loss=loss, parameters={**SMALL, "rounds": 3}))
    further = fit_head(rows, Learning(loss=loss, parameters=SMALL), start=few.booster)
    assert further.booster.num_trees() == few.rounds + further.rounds
    before = few.booster.predict(rows.features, raw_score=True)
    first = further.booster.predict(rows.features, raw_score=True, num_iteration=few.rounds)
    np.testing.assert_allclose(first, before, atol=1e-12)
    cheap, dear = further.booster.predict(CHEAP_AND_DEAR)
    assert cheap < dear


@pytest.mark.parametrize("objective", EVERY)
@pytest.mark.parametrize("started", [False, True])
def test_any_number_of_threads_gives_the_same_bytes_of_every_head(objective: Any, started: bool) -> None:
    weights = np.random.default_rng(4).random(N) + 0.1
    rows, loss = examples_of(objective, weights=weights), loss_of(objective)
    start = fit_head(rows, Learning(loss=loss, parameters=SMALL, seed=7)).booster if started else None
    texts = {
        fit_head(rows, Learning(loss=loss, parameters=SMALL), start=start, threads=n).text for n in (1, 2, 3)
    }
    assert len(texts) == 1


def test_a_monotone_feature_only_raises_the_score() -> None:
    features, labels, fold = world()
    labels = np.where(features[:, 0] > 0.7, 0.0, labels)  # dear items sell no more
    grid = np.column_stack([np.linspace(0, 1, 50), np.full(50, 0.5), np.ones(50)])
    free, bound = (learn(features, labels, fold, monotone=m).booster for m in (None, {"price": 1}))
    assert (np.diff(free.predict(grid)) < 0).any()
    assert (np.diff(bound.predict(grid)) >= 0).all()


def test_a_quantile_head_lies_above_its_share_of_the_values() -> None:
    features, _, fold = world()
    values = np.random.default_rng(5).exponential(1 + features[:, 0])
    fitted = learn(features, values, fold, loss=Loss("quantile", quantile=0.9))
    assert (values <= fitted.booster.predict(features)).mean() == pytest.approx(0.9, abs=0.03)


def test_tweedie_learns_a_mean_with_many_zeros() -> None:
    features, bought, fold = world(20_000)
    values = bought * np.random.default_rng(5).exponential(10, len(bought))
    fitted = learn(features, values, fold, loss=Loss("tweedie", power=1.5))
    predicted = fitted.booster.predict(features)
    assert (predicted > 0).all()
    assert predicted.sum() == pytest.approx(values.sum(), rel=0.05)


def test_a_ranking_head_orders_the_items_of_a_request() -> None:
    features, labels, _ = world()
    requests = np.repeat(np.arange(600), 10)
    fold = requests % 10 == 0
    fitted = learn(features, labels, fold, rows={"groups": requests}, loss=Loss("lambdarank"))
    low, high = fitted.booster.predict(np.array([[0.1, 0.5, 0], [0.9, 0.5, 2]]))
    assert low < high


def test_requests_are_runs_of_equal_codes() -> None:
    assert run_lengths(np.array([], dtype=np.int64)).tolist() == []
    assert run_lengths(np.array([3, 3, 1, 3])).tolist() == [2, 1, 1]


def test_one_constant_feature_among_others_is_no_error_and_is_not_used() -> None:
    features, labels, fold = world()
    features[:, 1] = 3.0
    assert learn(features, labels, fold).splits["age"] == 0


@pytest.mark.parametrize("objective", EVERY)
def test_what_lightgbm_refuses_is_an_error_of_the_task_with_a_way_out(objective: Any) -> None:
    nobody = {**SMALL, "bagging_fraction": 1e-9, "bagging_freq": 1}
    with pytest.raises(DataError, match=r"LightGBM refuses .* Check lightgbm in surface\.yaml"):
        fit_head(examples_of(objective), Learning(loss=loss_of(objective), parameters=nobody))


def test_single_precision_features_are_taken_as_they_are() -> None:
    features, labels, fold = world()
    single = features.astype(np.float32)
    np.testing.assert_allclose(
        learn(single, labels, fold).booster.predict(single),
        learn(single.astype(np.float64), labels, fold).booster.predict(single),
        atol=1e-9,
    )


def test_a_value_task_learns_the_mean() -> None:
    features, _, fold = world()
    values = 10 * features[:, 0] + np.random.default_rng(5).normal(size=len(features))
    fitted = learn(features, values, fold, loss=Loss("l2"), parameters={**SMALL, "rounds": 200})
    low, high = fitted.booster.predict(np.array([[0.2, 0.5, 1], [0.8, 0.5, 1]]))
    assert (low, high) == pytest.approx((2, 8), abs=0.5)


PARAMETERS = {
    "objective": "binary",
    "num_leaves": 5,
    "verbosity": -1,
    "num_threads": 1,
    "min_data_in_leaf": 5,
}


def booster(seed: int, rounds: int) -> lgb.Booster:
    random = np.random.default_rng(seed)
    features = np.column_stack([random.random(400), random.random(400), random.integers(0, 5, 400)])
    labels = (features[:, 0] + features[:, 2] / 5 + random.random(400) > 1.5).astype(float)
    data = lgb.Dataset(features, labels, feature_name=["a", "b", "c"], categorical_feature=[2])
    return lgb.train({**PARAMETERS, "seed": seed}, data, rounds)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    random = np.random.default_rng(9)
    return np.column_stack([random.random(50), random.random(50), random.integers(0, 7, 50)])


def raw(model: lgb.Booster, rows: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(rows, raw_score=True))


def test_a_shift_moves_every_raw_score_and_a_scale_multiplies_it(rows: np.ndarray) -> None:
    before = raw(booster(1, 6), rows)
    np.testing.assert_allclose(raw(shift_scores(booster(1, 6), -2.5), rows), before - 2.5, atol=1e-12)
    np.testing.assert_allclose(raw(scale_scores(booster(1, 6), 0.4), rows), 0.4 * before, atol=1e-12)


def test_one_on_top_of_another_adds_their_raw_scores(rows: np.ndarray) -> None:
    below, above = booster(1, 6), booster(2, 4)
    both = stack_boosters(below, above)
    assert both.num_trees() == 10
    np.testing.assert_allclose(raw(both, rows), raw(below, rows) + raw(above, rows), atol=1e-12)
    np.testing.assert_allclose(both.predict(rows), 1 / (1 + np.exp(-raw(both, rows))), atol=1e-12)


def test_what_was_stacked_is_whole_text_and_may_be_stacked_again(rows: np.ndarray) -> None:
    both = stack_boosters(booster(1, 6), booster(2, 4))
    again = lgb.Booster(model_str=both.model_to_string())
    np.testing.assert_array_equal(again.predict(rows), both.predict(rows))
    np.testing.assert_allclose(
        raw(stack_boosters(both, booster(3, 2)), rows), raw(both, rows) + raw(booster(3, 2), rows), atol=1e-12
    )


def test_nothing_below_leaves_a_booster_as_it_is() -> None:
    above = booster(2, 4)
    assert stack_boosters(None, above) is above


def test_a_booster_is_constant_where_no_tree_tells_rows_apart(rows: np.ndarray) -> None:
    alone = booster(1, 6)
    assert not is_constant(alone)
    same = scale_scores(booster(1, 6), 0.0)
    assert is_constant(same)
    assert np.ptp(raw(same, rows)) == 0
    assert not is_constant(stack_boosters(alone, same)), "what it stands on tells rows apart"


def test_a_quantile_and_a_power_go_to_their_own_objectives() -> None:
    assert Loss("quantile", quantile=0.9).settings == {
        "objective": "quantile",
        "metric": "quantile",
        "alpha": 0.9,
    }
    assert Loss("tweedie", power=1.2).settings["tweedie_variance_power"] == 1.2
    assert Loss("l2").settings == {"objective": "regression", "metric": "l2"}


def test_log_loss_is_minimised_by_default() -> None:
    assert Learning().loss.settings == {"objective": "binary", "metric": "binary_logloss"}
