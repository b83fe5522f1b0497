"""Features that changed after training: critical where a head with weight depends on them."""

import pytest

from tasks.evaluation.evidence import HeadInputs, InputChange
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.gates.inputs import judge_inputs

CENTS = InputChange(feature="price", days="test", kind="scale", observed=100.0, bound=5.0)


def reads(task: str, share: float, *changes: InputChange) -> HeadInputs:
    return HeadInputs(task=task, gains={"price": share, "age": 1 - share}, changes=changes)


def judged(*inputs: HeadInputs) -> dict[str, Verdict]:
    found = judge_inputs(inputs, {"buy"}, where="features", run="run")
    return {str(verdict.subject): verdict for verdict in found}


@pytest.mark.parametrize(
    ("task", "share", "outcome"),
    [("buy", 0.06, Outcome.BLOCK), ("buy", 0.05, Outcome.WARN), ("dwell", 0.9, Outcome.WARN)],
    ids=["a head with weight depends on it", "it hardly does", "a head without weight does"],
)
def test_a_change_blocks_where_a_weighted_head_depends_on_the_feature(
    task: str, share: float, outcome: Outcome
) -> None:
    verdict = judged(reads(task, share, CENTS))["features.price"]
    assert (verdict.gate, verdict.outcome, verdict.evidence) == ("inputs", outcome, "run")
    assert verdict.observed is not None
    assert verdict.observed.value == 100


def test_of_several_heads_the_one_with_weight_that_gains_most_decides() -> None:
    found = judged(reads("dwell", 0.9, CENTS), reads("buy", 0.3, CENTS), reads("buy", 0.1, CENTS))
    assert set(found) == {"features.price"}
    assert found["features.price"].outcome is Outcome.BLOCK
    assert found["features.price"].reason.endswith("30% of the gain of buy")


def test_one_verdict_says_that_nothing_changed() -> None:
    verdict = judged(reads("buy", 0.3), reads("dwell", 0.3))["features"]
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, "2 features of 2 heads: none changed")


def test_what_was_not_compared_is_a_warning_and_says_why() -> None:
    gone = HeadInputs(task="buy", gains={"price": 1.0}, reason="0 rows of its train days are left")
    verdict = judged(gone)["features"]
    assert (verdict.outcome, verdict.reason) == (Outcome.WARN, f"buy: {gone.reason}")
    assert judged()["features"].outcome is Outcome.NO_RULE
