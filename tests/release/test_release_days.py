"""Joint maps are fitted where the product along the chain does not hold, and only there."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.columns import probability
from tasks.contracts.gates import ModelGate
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.resampling import users_of
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.promotion.gates.references import evaluate_references
from tasks.ranking.maps import LogisticMap, map_from_json
from tasks.ranking.scoring import Scorer
from tasks.release import view as release_view
from tasks.release.parts import Pins, pin_tasks, release_files
from tasks.release.release_days import ReleaseDays
from tasks.stores.store import Store
from tasks.training.slices import DaySlice, plan_slices
from tests.feeds import mini, small_feed
from tests.feeds.mini import TASKS, Retrained
from tests.feeds.small_feed import AS_OF, NAME
from tests.feeds.small_release import Feed, fitted
from tests.monitoring.served_log import FIRST, ServedLog, day_after
from tests.verdicts import subject_of


@pytest.fixture(scope="module")
def pins(labelled_feed: Feed) -> Pins:
    workspace, snapshot = labelled_feed
    return pin_tasks(workspace, workspace.store.registry, fitted(workspace, snapshot), as_of=AS_OF)


@pytest.fixture(scope="module")
def release_days(labelled_feed: Feed) -> ReleaseDays:
    return days_of(labelled_feed)


@pytest.fixture(scope="module")
def files(labelled_feed: Feed, pins: Pins) -> dict[str, bytes]:
    return release_files(labelled_feed[0], Store.open(labelled_feed[0].home).registry, pins)


def days_of(feed: Feed) -> ReleaseDays:
    workspace, snapshot = feed
    labels = LabelStore(workspace.store, NAME).snapshot(snapshot)
    days = labels.days().column("ds").to_pylist()
    return ReleaseDays(workspace, labels, plan_slices(workspace.contracts, AS_OF, days).tasks)


def too_high(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the release with a parent that claims two and a half times its odds."""
    biased = LogisticMap(slope=1.0, intercept=0.9)
    return {**files, "calibrators/buy_2d.json": json.dumps(biased.to_json()).encode()}


def test_only_tasks_with_a_parent_have_a_product(files: dict[str, bytes]) -> None:
    assert Scorer.from_files(files).heads.conditional == ("back_2d",)


def test_a_product_that_holds_gets_no_map(release_days: ReleaseDays, files: dict[str, bytes]) -> None:
    assert release_days.joints(files) == {}


def test_a_product_that_does_not_hold_is_mapped_until_it_adds_up(
    release_days: ReleaseDays, files: dict[str, bytes]
) -> None:
    biased = too_high(files)
    joints = release_days.joints(biased)
    assert list(joints) == ["joints/back_2d.json"]
    joint = map_from_json(json.loads(joints["joints/back_2d.json"]))
    frame, outcomes = release_days.calibrate_days("back_2d", Scorer.from_files(biased).heads.columns)
    known = np.isfinite(outcomes)
    product = Scorer.from_files(biased).heads.predict(frame)[probability("back_2d")][known]
    assert outcomes[known].sum() / product.sum() < 0.7
    assert joint.apply(product).sum() == pytest.approx(outcomes[known].sum())


def test_the_map_is_in_the_joint_and_not_in_the_conditional(
    release_days: ReleaseDays, files: dict[str, bytes]
) -> None:
    biased = too_high(files)
    mapped = {**biased, **release_days.joints(biased)}
    frame, _ = release_days.calibrate_days("back_2d", Scorer.from_files(files).heads.columns)
    before, after = (Scorer.from_files(f).heads.predict(frame) for f in (biased, mapped))
    np.testing.assert_array_equal(before["p_back_2d__given"], after["p_back_2d__given"])
    assert after["p_back_2d"].sum() < before["p_back_2d"].sum()


def test_a_joint_is_fitted_and_measured_with_the_chain_that_judges_it(
    release_days: ReleaseDays, files: dict[str, bytes], pins: Pins
) -> None:
    factor_heads = replace(release_days, factor_files={"back_2d": too_high(files)})
    joints = factor_heads.joints(files)
    assert joints == release_days.joints(too_high(files)) != {}
    own, factor_files, mapped = (
        {found.task: found for found in one.figures(one.scores(all_files), pins)}
        for one, all_files in (
            (release_days, files),
            (factor_heads, files),
            (factor_heads, {**files, **joints}),
        )
    )
    assert factor_files["buy_2d"].to_json() == own["buy_2d"].to_json()
    ratios = [found["back_2d"].whole()["calibration_ratio"].value for found in (own, factor_files, mapped)]
    assert ratios[1] < 0.7 * ratios[0]
    assert ratios[2] == pytest.approx(1, abs=0.3)


def test_of_a_joint_that_nothing_can_judge_the_rows_are_counted_and_nothing_is_measured(
    release_days: ReleaseDays, files: dict[str, bytes], pins: Pins
) -> None:
    unmeasured = replace(release_days, unmeasured=("back_2d",))
    assert unmeasured.joints(too_high(files)) == {}
    own, none = (
        {found.task: found for found in one.figures(one.scores(files), pins)}["back_2d"]
        for one in (release_days, unmeasured)
    )
    assert (none.rows, none.positives) == (own.rows, own.positives)
    assert not any(estimate.known for estimate in none.whole().values())
    assert {name for name, value in none.headline.items() if value is not None} == {"rows", "positives"}


def test_large_user_ids_stay_distinct_if_one_is_missing(tmp_path: Path) -> None:
    log = ServedLog.of(tmp_path, days=2, requests=20)
    users = log.rows["user_id"].str[1:].astype("Int64") + 2**60
    log.rows = log.rows.assign(user_id=users.mask(users == users[0]))
    workspace = log.write()
    snapshot = LabelStore(workspace.store, workspace.surface).snapshot(
        labels.run(workspace, as_of=day_after(2)).snapshot
    )
    frame = ReleaseDays(workspace, snapshot, {}).days(DaySlice(FIRST.date(), FIRST.date()), [], [])
    shown = log.rows[log.rows["shown_at"] < pd.Timestamp(day_after(1))]
    requests = shown.loc[shown["user_id"].isna(), "request_id"].nunique()
    assert users_of(frame).nunique() == shown["user_id"].nunique() + requests


def test_figures_are_of_the_joint_on_the_test_days(
    release_days: ReleaseDays, files: dict[str, bytes], pins: Pins
) -> None:
    figures = {found.task: found for found in release_days.figures(release_days.scores(files), pins)}
    back = figures["back_2d"]
    assert back.rows == figures["buy_2d"].rows
    assert back.days == (release_days.slices["back_2d"].test.first, release_days.slices["back_2d"].test.last)
    high = {found.task: found for found in release_days.figures(release_days.scores(too_high(files)), pins)}[
        "back_2d"
    ]
    assert high.whole()["calibration_ratio"].value < 0.7 * back.whole()["calibration_ratio"].value


def figures_of(feed: Feed, files: Mapping[str, bytes], pins: Pins) -> list[TaskFigures]:
    release_days = days_of(feed)
    return release_days.figures(release_days.scores(files), pins)


def factor_files(figures: list[TaskFigures], weighted: set[str]) -> dict[str, Verdict]:
    verdicts = evaluate_references(ModelGate(), figures, weighted, run="run-1")
    return {str(verdict.subject): verdict for verdict in verdicts}


@pytest.fixture(scope="module")
def leaked(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    """The same feed with a column among its features that is 1 where the impression was clicked."""
    folder = tmp_path_factory.mktemp("leaked")
    surface = small_feed.SURFACE.replace("[price, age]", "[price, age, refund]")
    small_feed.write_contracts(folder / "surfaces", surface=surface)
    small_feed.write_logs(folder / "home/logs")
    file = folder / f"home/logs/{NAME}/impressions/a.parquet"
    impressions, events = pq.read_table(file), pq.read_table(file.parents[1] / "events/a.parquet")
    clicks = events.filter(pc.equal(events["event"], "click"))
    known = set(zip(*(clicks[name].to_pylist() for name in ("request_id", "item_id")), strict=True))
    keys = zip(*(impressions[name].to_pylist() for name in ("request_id", "item_id")), strict=True)
    pq.write_table(impressions.append_column("refund", pa.array([float(key in known) for key in keys])), file)
    return small_feed.labelled(folder)


def test_honest_heads_pass_beside_the_feature_that_they_learned_from(
    labelled_feed: Feed, pins: Pins, files: Mapping[str, bytes]
) -> None:
    figures = figures_of(labelled_feed, files, pins)
    click = next(one for one in figures if one.task == "click_1d").references
    assert click is not None
    assert click.auc is not None
    assert click.auc.feature == "price"
    assert click.auc.gain.low > 0, "the category tells more"
    verdicts = factor_files(figures, {"click_1d", "buy_2d", "back_2d", "spend_2d"})
    assert Outcome.BLOCK not in {verdict.outcome for verdict in verdicts.values()}
    assert verdicts["click_1d.normalized_entropy"].outcome is Outcome.PASS


def test_a_constant_head_is_no_better_than_the_base_rate(
    labelled_feed: Feed, pins: Pins, files: Mapping[str, bytes]
) -> None:
    flat = json.dumps(LogisticMap(slope=1e-12, intercept=-1.5).to_json()).encode()
    figures = figures_of(labelled_feed, {**files, "calibrators/click_1d.json": flat}, pins)
    assert factor_files(figures, {"click_1d"})["click_1d.normalized_entropy"].outcome is Outcome.BLOCK
    assert factor_files(figures, set())["click_1d.normalized_entropy"].outcome is Outcome.WARN


def test_a_value_head_worse_than_the_mean_is_no_better_than_it(
    labelled_feed: Feed, pins: Pins, files: Mapping[str, bytes]
) -> None:
    """What is expected of every row is ten times what was learned."""
    plain = json.loads(files["calibrators/spend_2d.json"])
    high = {**plain, "knots_y": [10 * value for value in plain["knots_y"]]}
    changed = {**files, "calibrators/spend_2d.json": json.dumps(high).encode()}
    figures = figures_of(labelled_feed, changed, pins)
    verdict = factor_files(figures, {"spend_2d"})["spend_2d.relative_squared_error"]
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.observed is not None
    assert verdict.observed.low > 1


def test_a_feature_that_equals_the_label_is_named_and_holds(leaked: Feed) -> None:
    workspace, snapshot = leaked
    registry = workspace.store.registry
    pins = pin_tasks(workspace, registry, fitted(workspace, snapshot), as_of=AS_OF)
    figures = figures_of(leaked, release_files(workspace, registry, pins), pins)
    verdicts = factor_files(figures, {"click_1d"})
    for pairs in ("auc", "auc_by_request"):
        assert verdicts[str(Subject(pairs, task="click_1d", feature="refund"))].outcome is Outcome.BLOCK
        assert verdicts[f"click_1d.{pairs}"].outcome is Outcome.BLOCK


@pytest.fixture(scope="module")
def evidence(first_retrain: Retrained) -> dict[str, Any]:
    return mini.first_evidence(first_retrain.workspace, "release")


@pytest.fixture(scope="module")
def scored(first_retrain: Retrained) -> pd.DataFrame:
    """The shown rows of the test days: labels beside what the release says."""
    workspace = first_retrain.workspace
    release = release_view.load(workspace, 1)
    first, last = release.manifest.test
    labels = LabelStore(workspace.store, mini.NAME).snapshot(release.manifest.snapshot.id)
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
