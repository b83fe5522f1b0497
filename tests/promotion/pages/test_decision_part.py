"""What outcomes are worth in units of one, and whose share of looks changes most."""

from dataclasses import replace

from tasks.contracts import SlateSpec, UtilitySpec
from tasks.contracts.metrics import MetricKind
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import Estimate
from tasks.promotion.pages.decision_part import count_worths, list_movers, say_mover
from tests.promotion.pages.test_changes import utility
from tests.reports.vocabularies import WORDS
from tests.verdicts import subject

SLATE = SlateSpec.model_validate({"policy": "s", "version": 1, "length": 3})


def share(value: str, before: float | None, after: float, *, kind: MetricKind = MetricKind.SHARE) -> Measured:
    ours, theirs = (None if of is None else Estimate(of, of, of, 9) for of in (after, before))
    return Measured(Subject(kind, column="source", value=value), ALL, "release 2", ours, theirs, None)


def worth_of(policy: UtilitySpec) -> dict[str, float]:
    worths = count_worths(policy, SLATE)
    assert worths is not None
    return {term.task: term.worth for term in worths.policies[0].terms}


def test_worth_is_counted_in_the_first_gain() -> None:
    assert worth_of(utility(hide=-4.0, click=0.5, buy=20.0)) == {"hide": -8.0, "click": 1.0, "buy": 40.0}


def test_where_nothing_weighs_anything_there_is_no_unit() -> None:
    assert count_worths(utility(click=0.0), SLATE) is None


def test_those_that_move_most_come_first_and_those_that_stay_are_left_out() -> None:
    rows = [
        share("a", 0.1, 0.1),
        share("b", 0.1, 0.2),
        share("c", 0.5, 0.1),
        share("d", None, 0.1),
        share("e", 0.1, 0.9, kind=MetricKind.ENTROPY),
        share("f", float("nan"), 0.1),
    ]
    assert [one.subject.value for one in list_movers(rows)] == ["c", "b"]
    assert len(list_movers([share(str(n), 0.0, 0.01 * n) for n in range(30)])) == 10


def test_a_mover_is_said_in_words_and_as_shares() -> None:
    before, rise = Estimate(0.2, 0.18, 0.22, 9), Estimate(0.25, 0.2, 0.3, 9)
    ads = replace(share("ads", None, 0.25), baseline=before, relative=rise)
    said = say_mover(ads, WORDS)
    assert (said.metric, said.meaning) == ("share of ads in source", "share of examined impressions")
    assert (said.before, said.now, said.change) == ("20 % (18 to 22 %)", "25 %", "+25.0 % (+20.0 to +30.0 %)")


def test_a_mover_of_no_metric_and_without_a_figure_has_no_words() -> None:
    said = say_mover(replace(share("ads", None, 0.25), subject=subject("odd")), WORDS)
    assert (said.meaning, said.before, said.now, said.change) == ("", "", "0.25", "")
