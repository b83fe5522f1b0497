"""Makes the figures that the off-policy estimators are held against, with the Open Bandit Pipeline (Apache-2.0).

It runs on Python 3.8 to 3.10 alone, so it is no dependency; in an environment of its own::

    python3.10 -m venv oracle && oracle/bin/pip install 'obp==0.5.7' 'matplotlib<3.7' 'setuptools<70'
    oracle/bin/python tests/ope/make_oracle.py FOLDER_OF_OPEN_BANDIT

With obp 0.5.4 in its place, which is published for Python below 3.10, the folder is left out: the figures of
the pipeline's notebook ``examples/quickstart/synthetic_slate.ipynb`` are of that version's generator, and 0.5.7
draws other rewards. ``slate_notebook.json`` holds what it drew (seed 12345), the estimates, the means and
intervals of the 1,000 resamples that the notebook prints as its estimates, and the true value. Uniform
propensities need no file, and the contexts are the seed's: the first normal numbers of numpy's `RandomState`.

``slots.json`` and ``slates.json`` hold small seeded arrays and what each estimator gives of them,
``open_bandit.json`` the probabilities of BernoulliTS (100,000 draws, seed 12345) and the estimates of its
value from the uniformly random log, with mean clicks by item as the reward model.

``open_bandit_example.json`` holds how often BernoulliTS shows each item of campaign all at each position in the
1,000,000 draws (seed 12345) of the pipeline's example ``examples/obd/evaluate_off_policy_estimators.py``. What
that example prints stands in its README; `open_bandit_example` draws the rest of it anew.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
TAU, SHRINKAGE = 1.5, 3.0
SIZES = {"all": 80, "men": 34}
DRAWS, EXAMPLE_DRAWS = 100_000, 1_000_000


def main() -> None:
    if len(sys.argv) == 1:
        write("slate_notebook.json", slate_notebook())
        return
    write("slots.json", slots())
    write("slates.json", slates())
    write("open_bandit.json", {campaign: open_bandit(Path(sys.argv[1]), campaign) for campaign in SIZES})
    counts = (bernoulli_ts("all", EXAMPLE_DRAWS) * EXAMPLE_DRAWS).round().astype(int)
    write("open_bandit_example.json", {"draws": EXAMPLE_DRAWS, "counts": counts.tolist()})


def write(name: str, content: dict[str, Any]) -> None:
    (HERE / name).write_text(json.dumps(content) + "\n", encoding="utf-8")


def of_slots(
    reward: Any, action: Any, position: Any, pscore: Any, action_dist: Any, q_hat: Any
) -> dict[str, float]:
    from obp import ope

    logged = {"reward": reward, "action": action, "position": position, "pscore": pscore}
    judged = {**logged, "action_dist": action_dist, "estimated_rewards_by_reg_model": q_hat}
    estimators = {
        "ips": ope.InverseProbabilityWeighting(),
        "snips": ope.SelfNormalizedInverseProbabilityWeighting(),
        "dm": ope.DirectMethod(),
        "dr": ope.DoublyRobust(),
        "switch_dr": ope.SwitchDoublyRobust(lambda_=TAU),
        "dros": ope.DoublyRobustWithShrinkage(lambda_=SHRINKAGE),
    }
    return {name: float(one.estimate_policy_value(**judged)) for name, one in estimators.items()}


def slots() -> dict[str, Any]:
    """Forty rounds of five items at three positions, with context in every table."""
    rng = np.random.default_rng(12345)
    n, items, length = 40, 5, 3
    action_dist = rng.dirichlet(np.ones(items), size=(n, length)).transpose(0, 2, 1)
    logging = rng.dirichlet(np.ones(items) * 3, size=(n, length)).transpose(0, 2, 1)
    position = rng.integers(length, size=n)
    action = np.array([rng.choice(items, p=logging[i, :, position[i]]) for i in range(n)])
    pscore = logging[np.arange(n), action, position]
    q_hat = rng.uniform(size=(n, items, length))
    reward = rng.binomial(1, q_hat[np.arange(n), action, position]).astype(float)
    given = {"reward": reward, "action": action, "position": position, "pscore": pscore}
    given |= {"action_dist": action_dist, "q_hat": q_hat}
    return {
        **{name: array.tolist() for name, array in given.items()},
        "tau": TAU,
        "shrinkage": SHRINKAGE,
        "estimates": of_slots(reward, action, position, pscore, action_dist, q_hat),
    }


def slates() -> dict[str, Any]:
    """Thirty slates of three items of four, drawn position by position."""
    from obp import ope

    rng = np.random.default_rng(54321)
    n, items, length = 30, 4, 3
    logging, target = (rng.dirichlet(np.ones(items) * c, size=(n, length)) for c in (3, 1))
    action = np.array([[rng.choice(items, p=logging[i, k]) for k in range(length)] for i in range(n)])
    reward = rng.binomial(1, 0.4, size=(n, length)).astype(float)
    q_hat = rng.uniform(size=(n, length, items))
    at = (np.arange(n)[:, None], np.arange(length)[None, :], action)
    ours, theirs = target[at], logging[at]
    base = {
        "slate_id": np.repeat(np.arange(n), length),
        "position": np.tile(np.arange(length), n),
        "reward": reward.ravel(),
    }
    together = {
        "pscore": np.repeat(theirs.prod(axis=1), length),
        "evaluation_policy_pscore": np.repeat(ours.prod(axis=1), length),
    }
    above = {
        "pscore_cascade": theirs.cumprod(axis=1).ravel(),
        "evaluation_policy_pscore_cascade": ours.cumprod(axis=1).ravel(),
    }
    alone = {
        "pscore_item_position": theirs.ravel(),
        "evaluation_policy_pscore_item_position": ours.ravel(),
    }
    model = {
        "action": action.ravel(),
        "q_hat": q_hat.ravel(),
        "evaluation_policy_action_dist": target.ravel(),
    }
    estimates = {
        "sips": ope.SlateStandardIPS(len_list=length).estimate_policy_value(**base, **together),
        "iips": ope.SlateIndependentIPS(len_list=length).estimate_policy_value(**base, **alone),
        "rips": ope.SlateRewardInteractionIPS(len_list=length).estimate_policy_value(**base, **above),
        "cascade_dr": ope.SlateCascadeDoublyRobust(
            len_list=length, n_unique_action=items
        ).estimate_policy_value(**base, **above, **model),
    }
    arrays = {"reward": reward, "action": action, "logging": logging, "target": target, "q_hat": q_hat}
    return {
        **{name: array.tolist() for name, array in arrays.items()},
        "estimates": {name: float(value) for name, value in estimates.items()},
    }


def slate_notebook() -> dict[str, Any]:
    """Draw 10,000 slates of three of ten items evenly, and estimate the policy that the notebook calls optimal.

    That policy draws one item after the other from a softmax of three times their expected rewards, whose
    logits are linear in the two numbers of a context.
    """
    from obp import dataset, ope

    rounds, items, length, seed = 10_000, 10, 3, 12345
    made = dataset.SyntheticSlateBanditDataset(
        n_unique_action=items,
        len_list=length,
        dim_context=2,
        reward_type="binary",
        reward_structure="cascade_additive",
        random_state=seed,
        base_reward_function=dataset.logistic_reward_function,
    )
    log = made.obtain_batch_bandit_feedback(n_rounds=rounds, return_pscore_item_position=True)
    rewards = made.base_reward_function(log["context"], made.action_context, random_state=seed)
    judged = made.obtain_pscore_given_evaluation_policy_logit(log["action"], 3 * rewards)
    names = ("pscore", "pscore_item_position", "pscore_cascade")
    target = {f"evaluation_policy_{name}": values for name, values in zip(names, judged, strict=True)}
    given = {**{name: log[name] for name in ("slate_id", "position", "reward", *names)}, **target}
    estimators = {
        "sips": ope.SlateStandardIPS(len_list=length),
        "iips": ope.SlateIndependentIPS(len_list=length),
        "rips": ope.SlateRewardInteractionIPS(len_list=length),
    }
    resampled = {"n_bootstrap_samples": 1000, "random_state": seed}
    affine = np.column_stack([np.ones(rounds), log["context"]])
    coefficients, *_ = np.linalg.lstsq(affine, np.log(rewards / (1 - rewards)), rcond=None)
    return {
        "seed": seed,
        "items": items,
        "coefficients": coefficients.tolist(),
        "action": "".join(map(str, log["action"])),
        "reward": "".join(map(str, log["reward"])),
        "true_value": float(made.calc_ground_truth_policy_value(log["context"], 3 * rewards)),
        "estimates": {name: float(one.estimate_policy_value(**given)) for name, one in estimators.items()},
        "published": {
            name: list(map(float, one.estimate_interval(**given, **resampled).values()))
            for name, one in estimators.items()
        },
    }


def bernoulli_ts(campaign: str, draws: int) -> Any:
    """Return the share of draws in which BernoulliTS shows each item at each position, [items, positions]."""
    from obp.policy import BernoulliTS

    policy = BernoulliTS(
        n_actions=SIZES[campaign], len_list=3, is_zozotown_prior=True, campaign=campaign, random_state=12345
    )
    return policy.compute_batch_action_dist(n_sim=draws, n_rounds=1)[0]


def open_bandit(folder: Path, campaign: str) -> dict[str, Any]:
    """Estimate BernoulliTS from the random log of one campaign."""
    log = pd.read_csv(folder / "random" / campaign / f"{campaign}.csv.gz", index_col=0)
    probabilities = bernoulli_ts(campaign, DRAWS)
    n, items = len(log), SIZES[campaign]
    action, position = log.item_id.to_numpy(), log.position.to_numpy() - 1
    reward = log.click.to_numpy(dtype=float)
    means = log.groupby("item_id").click.mean().reindex(range(items)).fillna(0).to_numpy()
    broad = (n, items, 3)
    estimates = of_slots(
        reward,
        action,
        position,
        log.propensity_score.to_numpy(),
        np.broadcast_to(probabilities, broad),
        np.broadcast_to(means[:, None], broad),
    )
    weights = probabilities[action, position] / log.propensity_score.to_numpy()
    return {
        "probability": probabilities.tolist(),
        "tau": TAU,
        "shrinkage": SHRINKAGE,
        "estimates": estimates,
        "ess": float(weights.sum() ** 2 / (weights**2).sum()),
    }


if __name__ == "__main__":
    main()
