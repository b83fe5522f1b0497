"""Weights learned from a log whose users' weights were perturbed, and whose clicks follow one of them."""

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.cli import main
from tasks.contracts.load import read_policy
from tasks.errors import ContractError, DataError
from tasks.experiments import perturbed
from tasks.stores.workspace import Workspace
from tests.experiments.arms_feed import ENDS, STARTS, ArmsFeed
from tests.feeds import mini

LONG, SIZE = "click_30m_rate", 0.2


def perturb(rows: pd.DataFrame) -> pd.DataFrame:
    """Log higher weights of hides for the users who lose clicks, and those of clicks by another hash."""
    inside = (rows["shown_at"].dt.date >= STARTS) & (rows["shown_at"].dt.date < ENDS)
    other = rows["user_id"].map(lambda user: hashlib.sha256(f"{user}".encode()).digest()[5] % 2)
    signs = {"hide_2d": rows["release"] == "2", "click_30m": other == 1}
    factors = {f"factor_{task}": np.where(up, 1 + SIZE, 1 - SIZE) for task, up in signs.items()}
    return rows.assign(**{name: pd.Series(each).where(inside) for name, each in factors.items()})


@pytest.fixture(scope="module")
def workspace(mini_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Users whose weight of hides is higher lose six in ten of their clicks."""
    feed = ArmsFeed(impressions=perturb, kept={"click": 0.4})
    return feed.write(mini_world, tmp_path_factory.mktemp("perturbed"))


def test_the_weight_that_costs_clicks_moves_by_the_size_and_an_inconclusive_one_stays(
    workspace: Workspace,
) -> None:
    done = perturbed.run(workspace, long=LONG, as_of=mini.AS_OF)
    found, now = done.evidence, workspace.contracts.utility
    terms = {one.task: one for one in found.terms}
    hides, clicks = terms["hide_2d"], terms["click_30m"]
    assert (found.source, found.refused, found.policy_version) == ("perturbation", (), now.version + 1)
    assert hides.learned is not None
    assert hides.learned.high < 0
    assert hides.proposed == pytest.approx(0.8 * hides.current)
    assert clicks.proposed == clicks.current
    assert found.file is not None
    policy = read_policy(Path(found.file), workspace.contracts)
    assert {term: one.weight for term, one in policy.weights.items()} == {
        "hide_2d": hides.proposed,
        "click_30m": clicks.current,
    }
    text = Path(found.file).read_text(encoding="utf-8")
    assert f"run {done.run_id}" in text
    assert f"#   hide_2d: {hides.learned.value:.3g} ({hides.learned.low:.3g} to " in text
    assert perturbed.run(workspace, long=LONG, as_of=mini.AS_OF).reused


def test_the_gradient_is_the_difference_of_users_by_the_sign_of_their_factor(workspace: Workspace) -> None:
    found = perturbed.run(workspace, long=LONG, as_of=mini.AS_OF, since=STARTS).evidence
    logs = [pd.concat(map(pd.read_parquet, sorted((workspace.home / "logs" / mini.NAME / table).glob("*"))))
            for table in ("impressions", "events")]  # fmt: skip
    shown, clicks = logs[0].dropna(subset="factor_hide_2d"), logs[1][logs[1]["event"] == "click"]
    key = ["request_id", "user_id", "item_id"]
    labelled = shown.merge(clicks[key].drop_duplicates().assign(clicked=1.0), on=key, how="left")
    requests = labelled.groupby("request_id").agg(
        sign=("factor_hide_2d", "first"), clicked=("clicked", "sum")
    )
    up = np.sign(requests["sign"] - 1)
    by_hand = ((requests["clicked"] - requests["clicked"].mean()) * up).mean() / SIZE
    learned = {one.task: one.learned for one in found.terms}["hide_2d"]
    assert learned is not None
    assert learned.value == pytest.approx(by_hand, rel=0.1), "clicks after half an hour do not count"


def test_an_outcome_that_no_weight_moved_proposes_nothing(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"experiment learn {workspace.surface} --perturbation --as-of={mini.AS_OF.isoformat()}".split()
    words += [f"--{name}={getattr(workspace, name)}" for name in ("home", "surfaces")]
    assert main([*words, "--long", "hide_2d_rate"]) == 1
    assert "refused: no gradient's interval excludes 0" in capsys.readouterr().out
    assert main([*words, "--long", LONG]) == 0
    printed = capsys.readouterr().out
    assert "perturbed weights, long outcome click_30m_rate" in printed
    assert "policy:" in printed


def test_a_log_without_factors_and_a_day_without_impressions_are_refused(
    workspace: Workspace, mini_world: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"No impression has factor_.* and a known label of click_30m"):
        perturbed.run(workspace, long=LONG, as_of=mini.AS_OF, since=date(2026, 6, 1))
    with pytest.raises(ContractError, match="Unknown long outcome"):
        perturbed.run(workspace, long="clicks", as_of=mini.AS_OF)
    with pytest.raises(DataError, match="no weight was perturbed"):
        perturbed.run(ArmsFeed().write(mini_world, tmp_path), long=LONG, as_of=mini.AS_OF)
