"""People are told first what says no, and of equal ones the primary, then costs, then safety."""

from tasks.evaluation.subjects import Segment, Threshold
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.pages.worst_first import order_worst_first
from tests.reports.vocabularies import WORDS, rail, verdict

RISE = Threshold(high=0.1)


def test_the_primary_comes_before_costs_safety_other_guardrails_and_other_gates() -> None:
    subjects = ["coverage", "report_rate", "hide_rate", "observed_utility"]
    rails = [rail(subject, Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE) for subject in subjects]
    told = order_worst_first([verdict("model", "click.auc", Outcome.BLOCK), *rails], WORDS)
    assert [str(one.subject) for one in told] == [
        "observed_utility",
        "hide_rate",
        "report_rate",
        "coverage",
        "click.auc",
    ]


def test_what_may_never_be_shown_comes_before_the_primary() -> None:
    primary = rail("observed_utility", Outcome.BLOCK, -0.3, -0.4, -0.2, allowed=RISE)
    leak = verdict("constraints", "legal", Outcome.BLOCK, 3, 3, 3)
    assert order_worst_first([primary, leak], WORDS) == [leak, primary]


def test_a_broken_bound_comes_before_what_cannot_be_told_and_that_before_a_warning() -> None:
    unknown = rail("observed_utility", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=RISE, holds=True)
    warned = rail("observed_utility", Outcome.WARN, 0.3, 0.2, 0.4, allowed=RISE)
    broken = rail("coverage", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE)
    assert order_worst_first([warned, unknown, broken], WORDS) == [broken, unknown, warned]


def test_a_inconclusive_that_only_warns_comes_after_one_that_holds() -> None:
    warns = rail("observed_utility", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=RISE, holds=False)
    holds = rail("coverage", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=RISE, holds=True)
    assert order_worst_first([warns, holds], WORDS) == [holds, warns]


def test_the_whole_comes_before_its_segments_and_what_passes_is_not_told() -> None:
    new = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE, segment=Segment("tenure", "new"))
    whole = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=RISE)
    passed = rail("hide_rate", Outcome.PASS, 0.0, -0.1, 0.05, allowed=RISE)
    assert order_worst_first([passed, new, whole], WORDS) == [whole, new]
