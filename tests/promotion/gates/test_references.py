"""Heads beside a constant and single features: no better, and too good to be true."""

import pytest

from tasks.contracts import UtilitySpec
from tasks.contracts.gates import ModelGate
from tasks.contracts.training import HeadKind
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.references import HeadReferences, RankReference
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, Verdict
from tasks.promotion.gates.references import evaluate_references, weighted_tasks
from tests.evaluation.task_figures import task_figures
from tests.verdicts import bound

BETTER = Estimate(0.9, 0.88, 0.92, 900)
RANKED = RankReference(
    feature="price",
    head=Estimate(0.75, 0.74, 0.76, 900),
    best=Estimate(0.7, 0.69, 0.71, 900),
    gain=Estimate(0.05, 0.04, 0.06, 900),
)


def references(error: Estimate | None = None, **ranked: Estimate) -> HeadReferences:
    order = RANKED.model_copy(update=ranked)
    return HeadReferences(base=0.04, relative_squared_error=error, auc=RANKED, auc_by_request=order)


def binary(entropy: Estimate, beside: HeadReferences | None = None) -> TaskFigures:
    figures = {("normalized_entropy", ALL): entropy}
    return task_figures(figures, size=(900, 90), references=beside or references())


def value(error: Estimate | None) -> TaskFigures:
    beside = None if error is None else references(error)
    return task_figures(task="spend", kind="value", size=(900, 90), references=beside)


def judged(task: TaskFigures, *, weighted: bool = True) -> dict[str, Verdict]:
    found = evaluate_references(ModelGate(), [task], {task.task} if weighted else set(), run="run-1")
    return {str(verdict.subject): verdict for verdict in found}


def test_a_head_that_tells_more_than_the_base_rate_passes_and_says_the_rate() -> None:
    verdict = judged(binary(BETTER))["click.normalized_entropy"]
    assert (verdict.outcome, verdict.threshold, verdict.reason) == (
        Outcome.PASS,
        bound("< 1"),
        "base rate 0.04",
    )


def test_a_head_of_fewer_than_twenty_positives_is_not_told_from_a_constant() -> None:
    """An equal retrain was held for a report head of ten positives, in one world of five."""
    nearly = Estimate(1.0, 1.0, 1.0002, 900)
    rare = binary(nearly).model_copy(update={"positives": 19})
    verdict = judged(rare)["click.normalized_entropy"]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.startswith("19 positives are too few")
    assert (
        judged(rare.model_copy(update={"positives": 20}))["click.normalized_entropy"].outcome is Outcome.BLOCK
    )


@pytest.mark.parametrize(
    "error",
    [Estimate(1.0, 1.0, 1.0002, 900), Estimate(1.2, 1.1, 1.3, 900), Estimate(1.001, 0.995, 1.007, 900)],
    ids=["a constant", "worse than one", "noise that gains at most half a percent"],
)
@pytest.mark.parametrize("kind", ["binary", "value"])
def test_a_head_no_better_than_a_constant_blocks_where_it_carries_weight(kind: str, error: Estimate) -> None:
    task = binary(error) if kind == "binary" else value(error)
    subject = "click.normalized_entropy" if kind == "binary" else "spend.relative_squared_error"
    assert judged(task)[subject].outcome is Outcome.BLOCK
    assert judged(task)[subject].reason.startswith("no better than a constant; ")
    unweighted = judged(task, weighted=False)[subject]
    assert unweighted.outcome is Outcome.WARN
    assert "it carries no weight" in unweighted.reason


@pytest.mark.parametrize(
    "error", [Estimate(0.99, 0.96, 1.02, 90), Estimate(1.018, 0.986, 1.047, 48), UNKNOWN_ESTIMATE]
)
def test_a_rare_head_of_which_it_cannot_be_told_is_not_blocked(error: Estimate) -> None:
    assert judged(binary(error))["click.normalized_entropy"].outcome is Outcome.INCONCLUSIVE
    assert judged(binary(error), weighted=False)["click.normalized_entropy"].outcome is Outcome.WARN


def test_a_single_feature_that_knows_the_outcome_holds_and_is_named() -> None:
    leak = references(best=Estimate(1.0, 1.0, 1.0, 900), head=Estimate(0.99, 0.98, 0.995, 900))
    verdicts = judged(binary(BETTER, leak))
    suspect = verdicts["click.auc_by_request of price"]
    assert (suspect.outcome, suspect.threshold) == (Outcome.BLOCK, bound("<= 0.98"))
    assert suspect.reason == "price alone: too good to be true, so it probably leaks the outcome"


def test_a_head_that_knows_the_outcome_holds_where_no_feature_does_alone() -> None:
    leak = references(head=Estimate(1.0, 0.999, 1.0, 900))
    assert judged(binary(BETTER, leak))["click.auc_by_request"].outcome is Outcome.BLOCK


def test_what_is_above_with_its_value_alone_cannot_be_told() -> None:
    few = references(best=Estimate(0.985, 0.95, 0.999, 25))
    verdict = judged(binary(BETTER, few))["click.auc_by_request of price"]
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_the_best_honest_head_that_ships_is_not_caught() -> None:
    """repurchase_28d of weekly_circular, joint: .988 pooled, .978 by request; popularity alone .952."""
    honest = references(head=Estimate(0.988, 0.981, 0.994, 2301), best=Estimate(0.952, 0.940, 0.961, 132))
    verdicts = judged(binary(BETTER, honest))
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.PASS}
    assert len(verdicts) == 2, "one line says which head or feature is nearest to its bound"
    assert verdicts["click.auc_by_request"].reason == "the head: the nearest to its bound"


def test_a_head_that_ranks_no_better_than_one_feature_is_a_warning_that_names_it() -> None:
    worse = references(gain=Estimate(-0.02, -0.03, -0.01, 900))
    verdict = judged(binary(BETTER, worse))["click.auc_over_best_feature"]
    assert verdict.outcome is Outcome.WARN
    assert (
        verdict.reason == "it ranks no better than price alone, whose AUC inside requests is 0.7 [0.69, 0.71]"
    )
    for fine in (Estimate(0.01, -0.01, 0.03, 90), UNKNOWN_ESTIMATE):
        assert "click.auc_over_best_feature" not in judged(binary(BETTER, references(gain=fine)))


def test_a_value_head_that_was_held_against_no_mean_is_a_warning() -> None:
    assert judged(value(None))["spend.relative_squared_error"].outcome is Outcome.WARN


def test_a_probability_without_its_entropy_is_a_missing_metric() -> None:
    bare = task_figures(size=(900, 90))
    assert judged(bare)["click.normalized_entropy"].outcome is Outcome.METRIC_MISSING


@pytest.mark.parametrize("kind", ["quantile", "ranking"])
def test_a_head_without_a_mean_is_held_against_no_constant(kind: HeadKind) -> None:
    task = task_figures(task="pages", kind=kind, size=(900, 90), references=references())
    assert list(judged(task)) == ["pages.auc"]


def test_tasks_carry_weight_by_a_term_a_context_or_a_tier() -> None:
    utility = UtilitySpec.model_validate(
        {
            "policy": "feed",
            "version": 1,
            "owner": "tests",
            "approvals": ["product"],
            "weights": {"click": 1.0, "dwell": 0.0},
            "contexts": [{"name": "new", "when": {"tenure": ["new"]}, "weights": {"hide": -2.0}}],
            "lexicographic": [{"task": "report", "cuts": [0.001]}],
        }
    )
    assert weighted_tasks(utility) == {"click", "hide", "report"}
