"""An off-policy estimate as a whole: published figures, unbiased by enumeration, and its verdict."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

from tasks.errors import ContractError, DataError
from tasks.ope.estimate import OffPolicyReport, bernstein_by_cluster, empirical_bernstein, estimate_off_policy
from tests.ope import bandit, oracle
from tests.shared_data import OPEN_BANDIT, needs_open_bandit

# -- the Open Bandit data -------------------------------------------------------------------------------------


def open_bandit(campaign: str) -> tuple[OffPolicyReport, pd.DataFrame]:
    frame = pd.read_csv(OPEN_BANDIT / "random" / campaign / f"{campaign}.csv.gz", index_col=0)
    log = frame.rename(columns={"propensity_score": "propensity"}).assign(request_id=range(len(frame)))
    of_items = np.array(oracle.read("open_bandit.json")[campaign]["probability"])
    items, positions = np.indices(of_items.shape)
    means = log.groupby("item_id").click.mean().reindex(range(len(of_items))).fillna(0).to_numpy()
    target = pd.DataFrame(
        {
            "item_id": items.ravel(),
            "position": positions.ravel() + 1,
            "probability": of_items.ravel(),
            "q": means[items.ravel()],
        }
    )
    return estimate_off_policy(log, target, reward="click"), target


@needs_open_bandit
@pytest.mark.parametrize(
    ("campaign", "ips", "snips", "ess"),
    [("all", 0.00455288, 0.0047758330812309535, 1639.5), ("men", 0.00453356, 0.00460423, None)],
)
def test_the_published_figures_of_bernoulli_ts_are_reproduced(
    campaign: str, ips: float, snips: float, ess: float | None
) -> None:
    report, _ = open_bandit(campaign)
    assert report.estimates["ips"].value == pytest.approx(ips, abs=5e-9)
    assert report.estimates["snips"].value == pytest.approx(snips, abs=5e-9)
    if ess is not None:
        assert report.ess == pytest.approx(ess, abs=0.05)


@needs_open_bandit
@pytest.mark.parametrize("campaign", ["all", "men"])
def test_real_estimates_are_those_of_the_open_bandit_pipeline(campaign: str) -> None:
    report, _ = open_bandit(campaign)
    found = oracle.read("open_bandit.json")[campaign]
    for name in ("ips", "snips", "dm", "dr"):
        assert report.estimates[name].value == pytest.approx(found["estimates"][name], abs=1e-10)
    assert report.ess == pytest.approx(found["ess"], abs=1e-6)


@needs_open_bandit
def test_the_intervals_of_real_estimates_hold_the_clicks_that_bernoulli_ts_had() -> None:
    for campaign in ("all", "men"):
        served = pd.read_csv(OPEN_BANDIT / "bts" / campaign / f"{campaign}.csv.gz").click.mean()
        estimate = open_bandit(campaign)[0].estimates["dr"]
        assert estimate.low < served < estimate.high


def test_the_slates_of_the_pipelines_notebook_are_estimated_alike_from_tables() -> None:
    """IIPS is another one here: it weighs by the draw in view of the items above."""
    notebook = oracle.slate_notebook()
    (n, slots), items = notebook.action.shape, notebook.chances.shape[1]
    shown = np.arange(n * slots)
    log = pd.DataFrame(
        {
            "request_id": shown // slots,
            "item_id": notebook.action.ravel(),
            "position": shown % slots + 1,
            "propensity": np.tile(notebook.propensity, n),
            "reward": notebook.reward.ravel(),
        }
    )
    target = []
    for slot in range(slots):
        chance = notebook.chances.copy()
        np.put_along_axis(chance, notebook.action[:, :slot], 0.0, axis=1)
        chance /= chance.sum(axis=1, keepdims=True)
        requests, drawn = np.nonzero(chance)
        rows = {"request_id": requests, "item_id": drawn, "probability": chance[requests, drawn]}
        target.append(pd.DataFrame(rows).assign(position=slot + 1))
    report = estimate_off_policy(log, pd.concat(target), reward="reward")
    assert len(pd.concat(target)) == n * sum(items - slot for slot in range(slots))
    for name in ("sips", "rips"):
        estimate = report.estimates[name]
        assert estimate.value == pytest.approx(notebook.estimates[name], abs=1e-10)
        assert [estimate.low, estimate.high] == pytest.approx(notebook.published[name][1:], abs=5e-3)
    decided = report.estimates["cascade_dr"]
    assert decided.low < notebook.true_value < decided.high


# -- by hand and by enumeration -------------------------------------------------------------------------------


def test_ips_and_snips_are_what_a_hand_finds() -> None:
    log = bandit.log(3).assign(item_id=["liked", "plain", "liked"], click=[1, 0, 0])
    report = estimate_off_policy(log, bandit.target(0.75), reward="click")
    assert report.estimates["ips"].value == pytest.approx(0.75 / 0.5 / 3)
    assert report.estimates["snips"].value == pytest.approx(1.5 / (1.5 + 0.5 + 1.5))
    assert report.n == 3
    assert report.max_weight == pytest.approx(1.5)


def test_slates_drawn_without_replacement_are_estimated_without_bias() -> None:
    """Every page that the log's policy can make, as often as it makes it: the mean over them is the truth."""
    items, liking = "abc", {"a": 0.1, "b": 0.3, "c": 0.8}
    logging, wanted = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.2, "b": 0.2, "c": 0.6}

    def chance(policy: dict[str, float], page: tuple[str, ...], slot: int) -> float:
        return policy[page[slot]] / (1 - sum(policy[item] for item in page[:slot]))

    log, target, truth, request = [], [], 0.0, 0
    for page in itertools.permutations(items, 2):
        reward = [liking[page[0]], liking[page[1]] * liking[page[0]]]  # what is above matters
        of_page = [chance(logging, page, slot) for slot in (0, 1)]
        truth += chance(wanted, page, 0) * chance(wanted, page, 1) * sum(reward)
        for _ in range(round(of_page[0] * of_page[1] * 4200)):
            request += 1
            for slot in (0, 1):
                log.append((request, page[slot], slot + 1, of_page[slot], reward[slot]))
                left = [item for item in items if item not in page[:slot]]
                drawn = [(*page[:slot], item) for item in left]
                target += [(request, p[-1], slot + 1, chance(wanted, p, slot)) for p in drawn]
    logged = pd.DataFrame(log, columns=["request_id", "item_id", "position", "propensity", "reward"])
    asked = pd.DataFrame(target, columns=["request_id", "item_id", "position", "probability"])
    assert request == 4200
    report = estimate_off_policy(logged, asked, reward="reward")
    assert report.estimator == "cascade_dr"
    for name in ("sips", "rips"):
        assert report.estimates[name].value == pytest.approx(truth, abs=1e-12)
    assert report.estimates["cascade_dr"].value == pytest.approx(truth, abs=1e-3)
    assert report.estimates["iips"].value != pytest.approx(truth, abs=1e-2)


def test_behaviors_are_told_apart() -> None:
    shown = np.random.default_rng(0).integers(2, size=(300, 2))
    log = pd.DataFrame(
        {
            "request_id": np.repeat(range(300), 2),
            "item_id": (shown + np.array([0, 2])).ravel(),
            "position": np.tile([1, 2], 300),
            "propensity": 0.5,
            "click": shown.ravel(),
        }
    )
    target = pd.DataFrame({"item_id": range(4), "position": [1, 1, 2, 2], "probability": [0.3, 0.7] * 2})
    without = estimate_off_policy(log, target, reward="click").estimates
    assert "adaptive_ips" not in without
    for behavior, name in (("independent", "iips"), ("cascade", "rips"), ("standard", "sips")):
        found = estimate_off_policy(log.assign(behavior=behavior), target, reward="click").estimates
        assert found["adaptive_ips"].value == pytest.approx(without[name].value)


def test_requests_of_one_slot_have_no_estimators_of_slates() -> None:
    report = estimate_off_policy(bandit.log(), bandit.target(), reward="click")
    assert list(report.estimates) == ["ips", "snips", "dm", "dr", "switch_dr", "dros"]
    assert report.estimator == "dr"


def test_requests_with_a_gap_are_said_to_allow_no_slates() -> None:
    log = bandit.log(400).assign(
        request_id=np.arange(400) // 2, position=[1, 2] * 200, item_id=list(bandit.ITEMS) * 200
    )
    log.loc[1, "position"] = 3
    target = pd.concat([bandit.target().assign(position=n) for n in (1, 2, 3)])
    report = estimate_off_policy(log, target, reward="click")
    assert "no estimator of slates: 1 of 200 requests lack a position" in " ".join(report.reasons)
    assert "sips" not in report.estimates


def test_a_request_of_which_a_row_is_left_out_is_no_slate() -> None:
    """Its last slot would have counted as one in which nothing happened."""
    log = bandit.log(200).assign(
        request_id=np.arange(200) // 2, position=[1, 2] * 100, item_id=list(bandit.ITEMS) * 100
    )
    target = pd.concat([bandit.target().assign(position=n) for n in (1, 2)])
    whole = log.assign(click__status=np.where(log["request_id"] < 10, "immature", "observed"))
    assert "cascade_dr" in estimate_off_policy(whole, target, reward="click").estimates
    torn = log.assign(click__status=["observed", "immature", *["observed"] * 198])
    report = estimate_off_policy(torn, target, reward="click")
    assert "1 of 100 requests have rows that are left out" in " ".join(report.reasons)
    assert (report.estimator, "cascade_dr" in report.estimates) == ("dr", False)


# -- the verdict ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_least", "verdict"), [(0.2, "pass"), (0.9, "block"), (0.45, "inconclusive"), (None, "no_rule")]
)
def test_the_lower_bound_decides(at_least: float | None, verdict: str) -> None:
    report = estimate_off_policy(bandit.log(1000), bandit.target(), reward="click", at_least=at_least)
    assert report.verdict == verdict
    assert report.passed is (verdict in {"pass", "no_rule"})
    if at_least is not None:
        assert f"{at_least:g}" in report.reasons[0]


def test_dm_alone_never_passes() -> None:
    report = estimate_off_policy(
        bandit.log(1000), bandit.target(), reward="click", at_least=0.0, estimator="dm"
    )
    assert report.verdict == "inconclusive"
    assert "its error lies in its model" in report.reasons[0]


def test_an_estimator_that_the_log_does_not_allow_is_named() -> None:
    with pytest.raises(ContractError, match="Unknown estimator 'sips' in those that this log allows"):
        estimate_off_policy(bandit.log(), bandit.target(), reward="click", estimator="sips")


def test_a_bound_that_is_no_number_is_refused() -> None:
    with pytest.raises(ContractError, match="it must be a finite number"):
        estimate_off_policy(bandit.log(), bandit.target(), reward="click", at_least=float("nan"))


def test_users_who_repeat_themselves_widen_the_interval() -> None:
    once = bandit.log(500).assign(user_id=None)
    often = pd.concat(
        [once.assign(request_id=once.request_id + f"/{n}", user_id=once.request_id) for n in range(4)]
    )
    alone, together = (
        estimate_off_policy(log, bandit.target(), reward="click").estimates["ips"] for log in (once, often)
    )
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_a_document_has_null_for_what_is_unknown() -> None:
    plain = estimate_off_policy(bandit.log(), bandit.target(), reward="click").to_json()
    assert plain["estimates"]["dm"]["low"] is None
    assert plain["estimates"]["snips"]["bernstein_low"] is None
    assert plain["verdict"] == "no_rule"


@pytest.mark.parametrize("propensity", [1e-200, 1e-320])
def test_weights_too_large_to_be_added_up_tell_nothing(propensity: float) -> None:
    log = bandit.log(400)
    log.loc[:5, "propensity"] = propensity
    report = estimate_off_policy(log, bandit.target(), reward="click", at_least=0.1)
    assert report.verdict == "inconclusive"
    assert "too large to be added up" in report.reasons[0]
    assert "Infinity" not in json.dumps(report.to_json())
    assert "NaN" not in json.dumps(report.to_json())


@pytest.mark.parametrize("seed", [0, 1])
def test_no_figure_depends_on_the_order_of_the_rows(seed: int) -> None:
    log, target = bandit.log(400), bandit.target(0.8)
    shuffled = log.sample(frac=1, random_state=seed)
    ours, theirs = (estimate_off_policy(one, target, reward="click") for one in (log, shuffled))
    assert repr(ours) == repr(theirs)


# -- days -----------------------------------------------------------------------------------------------------


def test_days_that_move_the_level_widen_the_interval() -> None:
    """Four days of 10, 20, 30 and 40 %: t with 3 degrees of freedom is 3.182, the error of their mean .0645."""
    day = np.repeat(np.arange(4), 100)
    log = pd.DataFrame(
        {
            "request_id": np.arange(400),
            "item_id": np.arange(400) % 2,
            "position": 1,
            "propensity": 0.5,
            "click": np.arange(400) % 100 < 10 * (day + 1),
            "shown_at": pd.Timestamp("2026-03-01T23:30:00Z") + pd.to_timedelta(day, unit="D"),
        }
    )
    even = bandit.target(0.5).assign(item_id=[0, 1])
    by_day = estimate_off_policy(log, even, reward="click")
    assert by_day.days == 4
    ips = by_day.estimates["ips"]
    half = 3.182446 * np.sqrt(0.05 / 12)
    assert (ips.low, ips.high) == pytest.approx((0.25 - half, 0.25 + half))
    by_user = estimate_off_policy(log.drop(columns="shown_at"), even, reward="click").estimates["ips"]
    assert by_user.high - by_user.low < 0.1
    one_day = estimate_off_policy(log.assign(shown_at=log.shown_at[0].date()), even, reward="click")
    assert one_day.estimates["ips"] == by_user


def test_a_time_that_is_a_word_is_refused() -> None:
    log = bandit.log().assign(shown_at="monday")
    with pytest.raises(DataError, match="column shown_at is string; it must be a time or a date"):
        estimate_off_policy(log, bandit.target(), reward="click")


def test_the_bound_is_that_of_theorem_4() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    half = math.sqrt(2 * (1 / 3) * math.log(80) / 4) + 7 * math.log(80) / (3 * 3)
    assert empirical_bernstein(values, 1.0).low == pytest.approx(0.5 - half)
    assert empirical_bernstein(values, 1.0).high == pytest.approx(0.5 + half)


def test_one_value_has_no_bound_and_none_has_no_mean() -> None:
    one, none = empirical_bernstein(np.array([2.0]), 1.0), empirical_bernstein(np.array([]), 1.0)
    assert one.value == 2
    assert not one.known
    assert math.isnan(none.value)


def test_it_holds_the_mean_of_rare_outcomes_at_least_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [empirical_bernstein(rng.binomial(1, 0.01, 300).astype(float), 1.0) for _ in range(400)]
    assert np.mean([one.low <= 0.01 <= one.high for one in intervals]) >= 0.95


def test_rows_of_one_user_count_once() -> None:
    rng = np.random.default_rng(1)
    of_users = rng.uniform(size=100)
    alone = bernstein_by_cluster(of_users, np.ones(100), np.arange(100))
    again = bernstein_by_cluster(np.repeat(of_users, 5), np.ones(500), np.repeat(np.arange(100), 5))
    assert (again.low, again.high) == pytest.approx((alone.low, alone.high))
