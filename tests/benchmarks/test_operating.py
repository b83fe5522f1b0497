"""The operating characteristics: truths by hand, every release on one tiny world, and what the tables say."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from benchmarks.operating_worlds import policies, shocks, table, trials, truth
from benchmarks.operating_worlds.own_logs import AMONG
from benchmarks.operating_worlds.past_gains import measure_gains, past_gains
from benchmarks.operating_worlds.policies import BETTER, EQUAL
from benchmarks.operating_worlds.scored_slice import ScoredSlice, read_or_make
from benchmarks.operating_worlds.settings import CHAMPION, FIRST, OWN_LOGS, SETTINGS, logged
from benchmarks.operating_worlds.surface import SURFACE, days_of_history, write_surface
from benchmarks.operating_worlds.trials import Change, Reason, Trial
from benchmarks.operating_worlds.worlds import Size, World
from tasks.contracts import load_surface
from tasks.evaluation.subjects import ALL, Subject

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("operating")]

JUDGED = (CHAMPION, FIRST, "shown")
"""A tiny world has too few clicks to estimate a curve from."""
TINY = Size(
    requests_per_day=80,
    test_days=3,
    tasks=("click_30m", "purchase_7d", "hide_7d"),
    split=(("train", "P8D"), ("calibrate", "P5D")),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(TINY, 1, tmp_path_factory.mktemp("operating") / TINY.name / "1")


@pytest.fixture(scope="module")
def data(world: World) -> ScoredSlice:
    return read_or_make(world)


@pytest.fixture(scope="module")
def releases(data: ScoredSlice) -> dict[str, policies.Candidate]:
    return {one.name: one for one in policies.candidates(data, seed=1)}


@pytest.fixture(scope="module")
def judged(world: World, data: ScoredSlice) -> tuple[Trial, ...]:
    return tuple(trial for of in trials.run(world, JUDGED).values() for trial in of)


def changed(release: policies.Candidate, releases: dict[str, policies.Candidate], data: ScoredSlice) -> float:
    utility = policies.true_utility(data)
    return truth.true_change(release.served, releases[EQUAL].slot, {}, utility).primary


def test_a_rate_is_the_truth_weighted_by_how_much_each_slot_is_looked_at() -> None:
    chances, slot = np.array([0.4, 0.1, 0.9]), np.array([2, 1, 0])
    assert truth.weighted_mean(chances, truth.looks(slot)) == pytest.approx(
        (0.92 * 0.4 + 1.0 * 0.1) / (0.92 + 1.0)
    )


def test_a_gain_is_discounted_by_the_logarithm_of_the_slot() -> None:
    chances, slot = np.array([0.4, 0.1, 0.9]), np.array([3, 1, 0])
    assert truth.weighted_mean(chances, truth.discounts(slot)) == pytest.approx((0.5 * 0.4 + 0.1) / 1.5)


def test_a_segment_counts_its_own_slots_alone() -> None:
    chances, weights = np.array([0.4, 0.1]), np.ones(2)
    assert truth.weighted_mean(chances, weights, np.array([True, False])) == pytest.approx(0.4)
    assert np.isnan(truth.weighted_mean(chances, np.zeros(2)))


def test_what_stands_in_no_slot_may_be_worth_something_unknown() -> None:
    assert truth.weighted_mean(np.array([0.4, np.nan]), np.array([1.0, 0.0])) == pytest.approx(0.4)


def test_two_slots_changed_places() -> None:
    found = truth.true_change(
        np.array([2, 1]), np.array([1, 2]), {"buy": np.array([0.2, 0.1])}, np.array([3.0, 1.0])
    )
    assert found.rates["buy"] == pytest.approx((0.92 * 0.2 + 0.1) / (0.2 + 0.92 * 0.1) - 1)
    assert found.primary == pytest.approx((0.92 * 3 + 1) / (3 + 0.92) - 1)


@pytest.mark.parametrize(
    ("primary", "hides", "harmful"),
    [(0.0, 0.0, False), (-0.08, 0.0, True), (-0.07, 0.22, False), (0.1, 0.23, True)],
)
def test_harm_is_a_lower_primary_or_a_cost_beyond_its_bound_by_half(
    primary: float, hides: float, harmful: bool
) -> None:
    assert truth.TrueChange(primary, {"hide_7d": hides}).harmful({"hide_7d": 0.15}) is harmful


def test_a_task_that_is_left_out_leaves_contracts_that_hold_together(tmp_path: Path) -> None:
    write_surface(tmp_path, tasks=("purchase_7d", "satisfied_7d"), split={"test": "P3D"})
    contracts = load_surface(tmp_path, SURFACE)
    parts = {"dwell_60s_1d", "hide_7d", "report_7d"}
    assert set(contracts.tasks.tasks) == {"purchase_7d", "satisfied_7d", *parts}
    assert set(contracts.utility.weights) == {"purchase_7d", "satisfied_7d", "hide_7d", "report_7d"}
    assert not {rail.metric for rail in contracts.utility.guardrails} & {"return_30d_predicted"}
    assert days_of_history(contracts) == 2 * 8 + 7 + 28 + 7 + 3


def test_the_truth_stands_beside_its_candidate(data: ScoredSlice) -> None:
    shown = data.candidates[data.shown]
    clicked = shown["click_30m"].astype(float)
    expected = data.truth["p_click_30m"][data.shown] * data.mean_looks
    assert clicked.mean() == pytest.approx(expected.mean(), rel=0.15)
    known = clicked.notna().to_numpy()
    assert np.corrcoef(clicked[known], expected[known])[0, 1] > 0.05


def test_a_slice_that_is_read_again_is_the_same(data: ScoredSlice, world: World) -> None:
    again = read_or_make(world)
    assert again.candidates.equals(data.candidates)
    assert again.challenger["p_hide_7d"] == pytest.approx(data.challenger["p_hide_7d"], abs=0)
    assert again.newest_training_days == data.newest_training_days
    assert not world.workspace.home.exists()


def test_better_heads_are_truly_better_and_random_order_truly_worse(
    data: ScoredSlice, releases: dict[str, policies.Candidate]
) -> None:
    assert changed(releases[BETTER], releases, data) > 0.02
    assert changed(releases["random order"], releases, data) < -0.08
    assert changed(releases["leaked heads"], releases, data) < -0.08


def test_a_leaked_head_replays_what_it_knows_and_serves_nothing(
    releases: dict[str, policies.Candidate],
) -> None:
    leaked = releases["leaked heads"]
    assert (leaked.slot != leaked.served).any()


@pytest.mark.parametrize("of", ["random order", "clicks only"])
def test_a_mixture_is_truly_five_percent_lower(
    data: ScoredSlice, releases: dict[str, policies.Candidate], of: str
) -> None:
    mixture = releases.get(f"{policies.MIXED}{of}")
    if mixture is None:
        assert changed(releases[of], releases, data) > -0.05
    else:
        assert changed(mixture, releases, data) == pytest.approx(-0.05, abs=0.02)


def test_a_fourth_step_is_held_against_its_own_champion_and_that_of_four_promotions_ago(
    judged: tuple[Trial, ...], releases: dict[str, policies.Candidate], data: ScoredSlice
) -> None:
    step = releases[f"{policies.STEP}random order"]
    assert step.champion is not None
    lost = truth.true_change(step.champion, releases[EQUAL].slot, {}, policies.true_utility(data)).primary
    assert (lost, changed(step, releases, data)) == pytest.approx((-0.06, -0.08), abs=0.02)
    trial = next(one for one in judged if one.candidate == step.name and one.setting == CHAMPION)
    assert trial.primary == pytest.approx(-0.02, abs=0.02)
    assert "observed_utility vs four promotions ago" in {reason.subject for reason in trial.reasons}


def test_a_curve_is_estimated_from_clicks_and_propensities(data: ScoredSlice) -> None:
    clicked = data.candidates.assign(click_30m=(data.candidates["position"] <= 2).astype("Int64"))
    curve = replace(data, candidates=clicked).estimated_examination()
    assert curve.by_position[:2] == pytest.approx((1.0, 1.0), abs=0.2)
    assert len(curve.by_position) == 2


def test_every_setting_judges_its_releases(
    judged: tuple[Trial, ...], releases: dict[str, policies.Candidate], data: ScoredSlice
) -> None:
    reordered = policies.candidates(SETTINGS["shown"].log(data, 1), seed=1)
    expected = {(setting, name) for setting in (CHAMPION, FIRST) for name in releases}
    expected |= {("shown", one.name) for one in reordered if one.name in (SETTINGS["shown"].releases or ())}
    assert {(one.setting, one.candidate) for one in judged} == expected


def test_a_reordering_of_what_was_shown_has_the_truth_of_all_candidates(judged: tuple[Trial, ...]) -> None:
    by_name = {(one.setting, one.candidate): one for one in judged}
    for name in (EQUAL, "clicks only"):
        assert by_name["shown", name].primary == pytest.approx(by_name[CHAMPION, name].primary)
    assert not any(one.promoted or one.changes for one in judged if one.setting == "shown")


def test_a_partly_leaked_head_knows_some_positives_and_serves_worse(
    data: ScoredSlice, releases: dict[str, policies.Candidate]
) -> None:
    release = releases[policies.PARTIAL]
    bought = data.candidates["purchase_7d"].eq(1).fillna(value=False).to_numpy(dtype=bool)
    assert (release.predictions["p_purchase_7d"][bought] > 0.5).mean() == pytest.approx(0.4, abs=0.15)
    assert changed(release, releases, data) < changed(releases[EQUAL], releases, data) - 0.02


def test_a_harmed_region_loses_a_fifth_and_no_other_region_anything(
    data: ScoredSlice, releases: dict[str, policies.Candidate]
) -> None:
    release, utility = releases[policies.HARMED], policies.true_utility(data)
    west = (data.candidates["region"] == "west").to_numpy()
    rates = [truth.weighted_mean(utility, truth.looks(one.slot), west) for one in (release, releases[EQUAL])]
    assert truth.change(*rates) == pytest.approx(-0.2, abs=0.08)
    assert (release.slot[~west] == releases[EQUAL].slot[~west]).all()


def test_a_harmed_region_is_harm_beside_the_champion_alone(judged: tuple[Trial, ...]) -> None:
    harmful = {one.setting: one.harmful for one in judged if one.candidate == policies.HARMED}
    assert harmful == {CHAMPION: True, FIRST: False}  # the log itself is far below any release


def test_a_third_of_the_tied_scores_are_those_of_another_candidate(
    data: ScoredSlice, releases: dict[str, policies.Candidate]
) -> None:
    scores = pd.DataFrame({"request": data.requests, "score": releases[f"{policies.TIED}{EQUAL}"].utility})
    assert scores.duplicated(keep=False).mean() == pytest.approx(0.35, abs=0.1)


def test_fading_labels_are_known_less_often_down_the_page(data: ScoredSlice) -> None:
    shown = SETTINGS["fading"].log(data, 1).candidates[data.shown]
    known = shown["hide_7d"].notna().groupby(shown["position"]).mean()
    assert known[1] == pytest.approx(0.95, abs=0.05)
    assert known[12] == pytest.approx(0.2, abs=0.08)


def test_heads_of_fading_labels_are_as_calibrated_on_the_known_ones_as_heads_of_all_labels_are_on_all(
    data: ScoredSlice,
) -> None:
    ratios = []
    for log in (data, SETTINGS["fading"].log(data, 1)):
        known = log.candidates["click_30m"].notna().to_numpy()
        likely = (
            truth.looks(log.candidates["position"].fillna(0).to_numpy(dtype=np.int64))
            * log.truth["p_click_30m"]
        )
        ratios.append(likely[known].sum() / log.challenger["p_click_30m"][known].sum())
    assert ratios[1] == pytest.approx(ratios[0], rel=0.02)


def test_the_loops_own_log_holds_what_its_champion_served_and_drew(world: World, data: ScoredSlice) -> None:
    log = logged(world, data, OWN_LOGS)
    rows = log.candidates
    length, explored = log.slate.length, rows[rows["propensity"] < 1]
    assert (rows.groupby("request_id")["shown"].sum() == length).all()
    assert (explored["position"] == length).all()
    assert explored["drawable"].all()
    assert (1 / explored["propensity"]).max() == AMONG == rows.groupby("request_id")["drawable"].sum().max()
    assert (rows["click_30m"].notna() == rows["shown"]).all()
    by_utility = policies.ranked(log, "champion", log.champion).slot
    assert (by_utility == rows["position"].fillna(0))[by_utility < length].mean() > 0.9
    looks = truth.looks(rows["position"].fillna(0).to_numpy(dtype=np.int64))
    expected = (looks * log.truth["p_click_30m"]).sum()
    assert rows["click_30m"].sum() == pytest.approx(expected, rel=0.15)


def test_retrains_of_the_loop_gain_what_they_gain_on_its_own_logs(world: World, data: ScoredSlice) -> None:
    log, task = logged(world, data, OWN_LOGS), "click_30m"
    measure_gains(world, [OWN_LOGS, CHAMPION])
    past = past_gains(replace(world, seed=2), [world], [OWN_LOGS, CHAMPION])
    clicks = log.candidates[task][log.shown].to_numpy(dtype=np.float64)
    old, new = (log_loss(clicks, heads[f"p_{task}"][log.shown]) for heads in (log.champion, log.challenger))
    constant = log_loss(clicks, np.full(len(clicks), clicks.mean()))
    (gain,) = past[OWN_LOGS][Subject("normalized_entropy_fall", task=task)]
    assert gain == pytest.approx((old - new) / constant)
    assert past[CHAMPION][Subject("normalized_entropy_fall", task=task)] != [gain]
    assert past_gains(world, [world], [OWN_LOGS]) == {OWN_LOGS: {}}


def test_what_is_held_says_why(judged: tuple[Trial, ...]) -> None:
    assert all(bool(one.reasons) != one.promoted for one in judged)


def test_intervals_stand_beside_the_truth_but_for_slots_that_know_the_outcome(
    judged: tuple[Trial, ...],
) -> None:
    by_name = {(one.setting, one.candidate): one for one in judged}
    equal = by_name[CHAMPION, EQUAL]
    assert {"click_30m_rate", "hide_7d_rate", "observed_utility"} <= {one.metric for one in equal.changes}
    assert all(np.isfinite(one.true) for one in equal.changes if one.segment == ALL)
    assert by_name[CHAMPION, "leaked heads"].changes == ()


def test_what_was_judged_is_not_judged_again(
    judged: tuple[Trial, ...], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Iterator[Trial]:
        raise AssertionError

    monkeypatch.setattr(trials, "_trials", refuse)
    again, first = trials.run(world, [CHAMPION])[CHAMPION], [one for one in judged if one.setting == CHAMPION]
    assert [repr(asdict(one)) for one in again] == [repr(asdict(one)) for one in first]  # NaN equals no NaN
    with pytest.raises(AssertionError):
        trials.run(world, [CHAMPION], again=True)


EQUAL_TRIAL = Trial(
    setting=CHAMPION,
    candidate=EQUAL,
    primary=0.01,
    rates={"hide_7d": 0.02},
    levels={"hide_7d": 0.01},
    harmful=False,
    promoted=True,
    replay=True,
    reasons=(),
    changes=(
        Change("hide_7d_rate", "rate", ALL, 0.1, -0.1, 0.3, 0.2),
        Change("hide_7d_rate", "rate", ALL, -0.1, -0.15, -0.05, 0.2),
    ),
)


def test_a_table_counts_promotions_and_names_what_held() -> None:
    held = replace(
        EQUAL_TRIAL, promoted=False, reasons=(Reason("calibration", "hide_7d.ratio", ALL, "block"),)
    )
    lines = list(table.promotions("400x14", CHAMPION, [EQUAL_TRIAL, held]))
    row = "| equal retrain | 2 | 0.50 | 1.00 | 0.00 | +1.0% | +2.0% | calibration hide_7d.ratio 1 |"
    assert row in lines
    assert "- equal and better: 1 of 2 promoted (at least 85% wanted), 2 of 2 by the replay alone" in lines


def test_a_table_counts_what_is_told_how_many_days_it_lacks() -> None:
    lacks = Reason("decision", "observed_utility", ALL, "inconclusive", days=70)
    told, held = (
        replace(EQUAL_TRIAL, promoted=False, reasons=(replace(lacks, days=days),)) for days in (70, None)
    )
    lines = list(table.promotions("400x14", OWN_LOGS, [EQUAL_TRIAL, told, held]))
    assert "- equal: 1 of 3 promoted, 1 held with the number of days that they lack" in lines


def test_a_table_counts_the_intervals_that_hold_the_truth_and_the_signs() -> None:
    lines = list(table.coverages("400x14", [EQUAL_TRIAL]))
    assert "| hide_7d_rate | 0.01 | 2 | 0.500 (outside) | 0.50 | -20.0% |" in lines


def test_an_interval_that_is_not_known_is_not_counted() -> None:
    unknown = Change("hide_7d_rate", "rate", ALL, 0.1, float("nan"), float("nan"), 0.2)
    assert table.held_truth([*EQUAL_TRIAL.changes, unknown]) == (2, 0.5)


def test_two_equal_policies_differ_by_chance_alone_under_every_shock() -> None:
    mild = shocks.Shocks("all", day=0.1, policy_day=0.05, item=0.3, user=0.3, requests=700)
    drawn = [shocks.draw(mild, np.random.default_rng(seed)) for seed in range(40)]
    assert np.mean([one.value for one in drawn]) == pytest.approx(0.0, abs=0.05)
    assert np.mean([one.low <= 0 <= one.high for one in drawn]) >= 0.85
