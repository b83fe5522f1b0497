"""Proxies and conflicts of a release are those of its own predictions on its own test days."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.columns import probability
from tasks.labels.store import LabelStore
from tasks.release import view as release_view
from tests.feeds import mini
from tests.feeds.mini import NAME, TASKS, Retrained
from tests.verdicts import subject_of


@pytest.fixture(scope="module")
def evidence(first_retrain: Retrained) -> dict[str, Any]:
    return mini.first_evidence(first_retrain.workspace, "release")


@pytest.fixture(scope="module")
def scored(first_retrain: Retrained) -> pd.DataFrame:
    """The shown rows of the test days: labels beside what the release says."""
    workspace = first_retrain.workspace
    release = release_view.load(workspace, 1)
    first, last = release.manifest.test
    labels = LabelStore(workspace.store, NAME).snapshot(release.manifest.snapshot.id)
    rows = labels.read(labels.schema().names, first_day=first, last_day=last).to_pandas()
    said = release.score(rows.drop(columns=[name for name in rows if name in TASKS]))
    predictions = [name for name in map(str, said) if name.startswith(("p_", "v_"))]
    return rows.assign(**{name: said[name].to_numpy() for name in predictions})


def test_a_proxy_is_held_against_its_slow_outcome_where_both_are_known(
    evidence: dict[str, Any], scored: pd.DataFrame
) -> None:
    clicks, returns = evidence["proxies"]
    assert (clicks["fast"], clicks["slow"], clicks["cost"]) == ("click_30m", "satisfied_2d", False)
    both = scored.dropna(subset=["click_30m", "satisfied_2d"])
    by_tenth = both.groupby(pd.qcut(both[probability("click_30m")], 10, labels=False, duplicates="drop"))
    assert sum(tenth["rows"] for tenth in clicks["tenths"]) == len(both)
    assert clicks["mean"]["value"] == pytest.approx(both["satisfied_2d"].mean())
    top = by_tenth["satisfied_2d"].mean().iloc[-1]
    assert clicks["tenths"][-1]["outcome"]["value"] == pytest.approx(top, rel=0.1)
    assert (returns["cost"], returns["learned"]) == (True, False), (
        "the purchase is the one that judges returns"
    )
    assert returns["days"][1] < clicks["days"][0]


def test_conflicts_are_rank_correlations_of_the_shared_test_days(
    evidence: dict[str, Any], scored: pd.DataFrame
) -> None:
    found = {tuple(pair["tasks"]): pair for pair in evidence["conflicts"]["pairs"]}
    assert len(found) == 15
    pair = found["click_30m", "hide_2d"]
    columns = scored[[probability("click_30m"), probability("hide_2d")]]
    assert pair["predictions"] == pytest.approx(columns.corr("spearman").iloc[0, 1])
    outcomes = scored[["click_30m", "hide_2d"]].astype(float)
    assert pair["outcomes"] == pytest.approx(outcomes.corr("spearman").iloc[0, 1])
    assert pair["rows"] == len(outcomes.dropna())
    costs = {(one["task"], one["cost"]) for one in evidence["conflicts"]["at_top"]}
    assert ("click_30m", "hide_2d") in costs
    assert not {task for task, _ in costs} & {"hide_2d", "return_5d"}


def test_the_dossier_shows_both(first_retrain: Retrained) -> None:
    page = Path(first_retrain.result.dossier).read_text(encoding="utf-8")
    assert (
        "<h3>Proxies within the release's predictions: the slow outcome by the fast prediction</h3>" in page
    )
    assert "<h3>How tasks go together</h3>" in page
    proxies = [gate for gate in first_retrain.result.gates if gate["gate"] == "proxies"]
    assert [subject_of(gate) for gate in proxies] == [
        "satisfied_2d.proxy of click_30m",
        "return_5d.proxy of purchase_2d",
    ]
    assert {gate["outcome"] for gate in proxies} <= {"pass", "warn"}


def test_every_figure_is_finite_or_null(evidence: dict[str, Any]) -> None:
    rho = [pair["predictions"] for pair in evidence["conflicts"]["pairs"]]
    assert np.isfinite(rho).all()
