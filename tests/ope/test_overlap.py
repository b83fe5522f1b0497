"""When a log says too little of a target, and that a good one is not complained of.

Propensities are held against the columns that the ranker may have looked at.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from tasks.errors import DataError
from tasks.ope.estimate import OffPolicyReport, estimate_off_policy
from tasks.ope.log_rows import ContextColumn, read_log, read_target
from tasks.ope.overlap import find_out_of_balance, measure_overlap
from tests.ope import bandit


def reasons(log: pd.DataFrame, target: pd.DataFrame) -> str:
    report = estimate_off_policy(log, target, reward="click")
    assert report.verdict == "inconclusive"
    assert not report.passed
    return "\n".join(report.reasons)


def test_what_the_log_never_shows_is_counted() -> None:
    with_new = pd.concat(
        [bandit.target().assign(probability=[0.4, 0.5]), pd.DataFrame({"item_id": ["new"], "position": 1, "probability": 0.1})]
    )  # fmt: skip
    assert "10.0% of the target's probability is on items never logged at that position" in reasons(
        bandit.log(), with_new
    )
    assert "(at most 5%): new at 1" in reasons(bandit.log(), with_new)
    little = with_new.assign(probability=[0.45, 0.51, 0.04])
    report = estimate_off_policy(bandit.log(), little, reward="click")
    assert report.unsupported_share == pytest.approx(0.04)
    assert report.verdict == "no_rule"


LOG = bandit.log()


@pytest.mark.parametrize(
    ("log", "likes", "reason"),
    [
        (LOG.assign(user_id=np.arange(400) % 15), 0.8, "the weights count like"),
        (LOG.assign(click=np.arange(400) < 9), 0.5, "rows have a reward and a weight (at least 10)"),
        (LOG.assign(propensity=0.25), 0.8, "the weights have a mean of 2"),
        (
            LOG.assign(propensity=[0.005, *[0.5] * 399], item_id=["liked", *LOG.item_id[1:]]),
            0.8,
            "of all weight belongs to one of the users",
        ),
    ],
    ids=["few users", "few outcomes", "propensities of another policy", "a user who holds the weight"],
)
def test_too_little_support_is_told(log: pd.DataFrame, likes: float, reason: str) -> None:
    assert reason in reasons(log, bandit.target(likes))


def test_even_weights_are_no_reason_to_doubt() -> None:
    found = [estimate_off_policy(bandit.log(seed=n), bandit.target(), reward="click") for n in range(40)]
    assert sum(report.verdict == "inconclusive" for report in found) <= 1


@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200, 3e300])
def test_effective_rows_do_not_depend_on_the_size_of_the_weights(size: float) -> None:
    weight = size * np.array([1.0, 1.0, 2.0, 0.0])
    assert measure_overlap(weight, np.arange(4)).ess == pytest.approx(8 / 3)


def test_one_row_of_a_tiny_propensity_is_all_that_counts() -> None:
    log = bandit.log()
    log.loc[0, "propensity"] = 1e-300
    report = estimate_off_policy(log, bandit.target(), reward="click")
    assert report.verdict == "inconclusive"
    assert report.ess == pytest.approx(1.0)


LIKED = np.array([[0.1, 0.2], [0.4, 0.1]])
"""Chance of a click, by device and item."""
SHOWS = np.array([[0.8, 0.2], [0.2, 0.8]])
"""Probability of an item by device: .5 each on average."""


def devices(rows: int = 6_000, *, marginal: bool) -> pd.DataFrame:
    """Draw a log of a ranker that looks at the device, with its propensities or those of the average device."""
    rng = np.random.default_rng(3)
    device = rng.integers(2, size=rows)
    item = (rng.random(rows) < SHOWS[device, 1]).astype(int)
    return pd.DataFrame(
        {
            "request_id": np.arange(rows),
            "user_id": np.arange(rows) // 2,
            "item_id": item,
            "position": 1,
            "propensity": 0.5 if marginal else SHOWS[device, item],
            "click": rng.binomial(1, LIKED[device, item]),
            "device": np.array(["web", "app"])[device],
        }
    )


def estimate(log: pd.DataFrame, *, balance: list[str] | None = None) -> OffPolicyReport:
    even = pd.DataFrame({"item_id": [0, 1], "position": 1, "probability": 0.5})
    return estimate_off_policy(log, even, reward="click", balance=balance)


def test_propensities_that_leave_out_what_the_ranker_looked_at_are_refused() -> None:
    confounded = estimate(devices(marginal=True))
    assert confounded.estimates["dr"].high < LIKED.mean() == pytest.approx(0.2)
    assert confounded.verdict == "inconclusive"
    assert confounded.reasons[0].startswith("where device is ")
    honest = estimate(devices(marginal=False))
    assert honest.estimates["dr"].low < LIKED.mean() < honest.estimates["dr"].high
    assert (honest.verdict, honest.balanced_by) == ("no_rule", ("device",))


def test_columns_that_are_declared_are_the_only_ones() -> None:
    log = devices(marginal=True).assign(noise=np.arange(6_000) % 3)
    assert estimate(log, balance=["noise"]).verdict == "no_rule"
    assert estimate(log, balance=["noise", "device"]).verdict == "inconclusive"
    with pytest.raises(DataError, match="Missing column 'devise' in the log"):
        estimate(log, balance=["devise"])


def test_a_target_that_looks_at_the_device_is_expected_at_each_request() -> None:
    """By the target's average over requests the honest log would be refused."""
    for marginal in (False, True):
        log = devices(marginal=marginal)
        on_web = np.repeat((log.device == "web").to_numpy(), 2)
        items = np.tile([0, 1], len(log))
        target = pd.DataFrame(
            {
                "request_id": np.repeat(log.request_id.to_numpy(), 2),
                "item_id": items,
                "position": 1,
                "probability": np.where(on_web == (items == 0), 0.9, 0.1),
            }
        )
        rows = read_log(log, reward="click")
        assert bool([*find_out_of_balance(rows, read_target(target, rows))]) is marginal


def test_honest_logs_are_not_refused() -> None:
    """Sparse items, several columns, users who return: 80 logs."""
    assert not [seed for seed in range(80) if refused(seed, marginal=False)]
    assert [seed for seed in range(5) if refused(seed, marginal=True)] == [0, 1, 2, 3, 4]


def refused(seed: int, *, marginal: bool) -> bool:
    rng, n, items = np.random.default_rng(seed), 4_000, 10 if seed % 2 or marginal else 80
    user = np.arange(n) // 4
    segment, age = rng.integers(3, size=n)[user], rng.normal(40, 12, n)[user]
    shows = softmax(rng.normal(0, 1, items) + rng.normal(0, 0.8, (3, items)), axis=1)
    item = (shows[segment].cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    known = shows[segment].mean(axis=0)[item] if marginal else shows[segment, item]
    log = pd.DataFrame(
        {
            "request_id": np.arange(n),
            "user_id": user,
            "item_id": item,
            "position": 1,
            "propensity": known,
            "click": rng.binomial(1, 0.2, n),
            "segment": segment,
            "age": age,
            "hour": rng.integers(24, size=n),
            "price": (item * 7 % 10).astype(float),
        }
    )
    probability = softmax(rng.normal(0, 1, items))
    target = pd.DataFrame({"item_id": np.arange(items), "position": 1, "probability": probability})
    rows = read_log(log, reward="click")
    assert [column.name for column in rows.context] == ["segment", "age", "hour"]
    assert rows.of_item == ("price",)
    return bool([*find_out_of_balance(rows, read_target(target, rows))])


def test_labels_and_what_differs_inside_a_request_are_no_context() -> None:
    log = pd.DataFrame(
        {
            "request_id": [1, 1, 2, 2],
            "item_id": [7, 8, 8, 7],
            "position": [1, 2, 1, 2],
            "propensity": 0.5,
            "click": [0, 1, 0, 0],
            "buy": [1, 0, 0, 0],
            "buy__status": "observed",
            "score": [0.5, 0.2, 0.4, 0.1],
            "query": ["tea", "tea", None, None],
            "always": "x",
        }
    )
    rows = read_log(log, reward="click")
    assert [(column.name, column.labels) for column in rows.context] == [("query", ("tea", "null"))]
    assert rows.of_item == ("score",)


def test_numbers_are_cut_into_bins_and_rare_words_are_left_out() -> None:
    bins = ContextColumn.of(pd.Series([*np.linspace(0, 1, 100), np.nan], name="x"))
    assert len(bins.labels) == 6
    assert bins.labels[int(bins.codes[-1])] == "null"
    words = ContextColumn.of(pd.Series([f"w{n // 2}" for n in range(60)], name="x"))
    assert (len(words.labels), int((words.codes < 0).sum())) == (20, 20)
