"""The Open Bandit Pipeline's example on its own data: how far estimates of BernoulliTS are from its clicks.

It draws 30 samples of 10,000 rows with replacement from the random log of campaign all, fits to each a
logistic model of clicks by user and item for each position (C = 100, cross-fitted in three folds), and prints
mean and standard deviation of ``|estimate - truth| / truth``; the truth are the clicks of BernoulliTS when it
served. Of the limits that it lets SLOPE choose from, 10 was chosen in each run.

Its model stops where lbfgs stops, which differs between versions of scikit-learn; here it is fitted to its
optimum. Everything else is equal, seeds included.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from tasks.arrays import Floats
from tasks.ope.estimators import (
    LoggedSlots,
    dr_terms,
    ips_terms,
    shrunk_weights,
    switched_weights,
)
from tests.ope.oracle import read
from tests.shared_data import OPEN_BANDIT

RUNS, SEED, LIMIT = 30, 12345, 10.0
PUBLISHED = {
    "dm": (0.156876, 0.109898),
    "ipw": (0.311082, 0.311170),
    "snipw": (0.311795, 0.334736),
    "dr": (0.292464, 0.315485),
    "sndr": (0.302407, 0.328434),
    "switch-dr": (0.258410, 0.160598),
    "dr-os": (0.159520, 0.109660),
}
"""Mean and standard deviation of 30 relative errors, as the example's README prints them."""


@cache
def relative_errors() -> dict[str, Floats]:
    """Return the relative errors of each estimator, [runs]."""
    truth = _read("bts").click.mean()
    runs = [_estimates(_logged_slots(seed)) for seed in range(RUNS)]
    return {name: np.array([abs(run[name] - truth) / truth for run in runs]) for name in PUBLISHED}


def _estimates(rows: LoggedSlots) -> dict[str, float]:
    residuals = replace(rows, reward=rows.reward - rows.predicted)
    terms = {
        "dm": rows.expected,
        "ipw": ips_terms(rows),
        "snipw": ips_terms(rows) / rows.weight.mean(),
        "dr": dr_terms(rows),
        "sndr": rows.expected + ips_terms(residuals) / residuals.weight.mean(),
        "switch-dr": dr_terms(rows, switched_weights(rows.weight, LIMIT)),
        "dr-os": dr_terms(rows, shrunk_weights(rows.weight, LIMIT)),
    }
    return {name: float(of_rows.mean()) for name, of_rows in terms.items()}


def _logged_slots(seed: int) -> LoggedSlots:
    """Draw one sample of the random log, and fit its model."""
    log, users, items, probability = _random_log()
    drawn = np.random.RandomState(seed).choice(np.arange(len(log)), size=len(log), replace=True)
    rows, users = log.iloc[drawn], users[drawn]
    item, position = rows.item_id.to_numpy(), rows.position.to_numpy() - 1
    reward = rows.click.to_numpy(dtype=np.float64)
    predicted, expected = np.empty(len(rows)), np.empty(len(rows))
    for others, fold in KFold(3, shuffle=True, random_state=SEED).split(users):
        for at in range(probability.shape[1]):
            fitted, asked = others[position[others] == at], fold[position[fold] == at]
            model = LogisticRegression(C=100, solver="newton-cholesky", tol=1e-12)
            model.fit(np.column_stack([users[fitted], items[item[fitted]]]), reward[fitted])
            of_users, of_items = np.split(model.coef_[0], [users.shape[1]])
            chances = expit(np.add.outer(users[asked] @ of_users, items @ of_items) + model.intercept_)
            predicted[asked] = chances[np.arange(len(asked)), item[asked]]
            expected[asked] = chances @ probability[:, at]
    weight = probability[item, position] / rows.propensity_score.to_numpy()
    return LoggedSlots(reward, weight, predicted, expected)


@cache
def _random_log() -> tuple[pd.DataFrame, Floats, Floats, Floats]:
    """Return the log in its order, features of its users and of every item, and BernoulliTS's probabilities."""
    log = _read("random").sort_values("timestamp", kind="stable")
    of_users = log.loc[:, log.columns.str.contains("user_feature")]
    users = pd.get_dummies(of_users, drop_first=True).to_numpy(dtype=np.float64)
    table = pd.read_csv(OPEN_BANDIT / "random" / "all" / "item_context.csv", index_col=0)
    kinds = table.filter(like="item_feature").drop(columns="item_feature_0")
    codes = [np.unique(kinds[name], return_inverse=True)[1] for name in kinds]
    drawn = read("open_bandit_example.json")
    return (
        log,
        users,
        np.column_stack([*codes, table.item_feature_0]).astype(np.float64),
        np.array(drawn["counts"]) / drawn["draws"],
    )


def _read(policy: str) -> pd.DataFrame:
    return pd.read_csv(OPEN_BANDIT / policy / "all" / "all.csv.gz", index_col=0)
