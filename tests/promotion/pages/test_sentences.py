"""A verdict in one sentence: what happened, what is allowed, what the data leave open."""

import math
from dataclasses import replace

import pytest

from tasks.evaluation.subjects import Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.pages.sentences import say_verdict
from tests.reports.vocabularies import WORDS, rail, verdict
from tests.verdicts import bound, subject

SLOTS = "Of what it puts into the slots, people"
NAN = math.nan


def test_the_sentence_that_an_approver_reads() -> None:
    told = rail(
        "hide_given_click_rate", Outcome.INCONCLUSIVE, 0.111, 0.024, 0.22, allowed=Threshold(high=0.1)
    )
    assert say_verdict(told, WORDS) == (
        f"{SLOTS} who opened it hid it 11.1% more often than under champion 3; a rise of 10% is allowed, and these "
        "data cannot rule out 22%."
    )


@pytest.mark.parametrize(
    ("outcome", "seen", "allowed", "tail"),
    [
        (
            Outcome.BLOCK,
            (0.3, 0.2, 0.4),
            Threshold(high=0.1),
            "a rise of 10% is allowed, and these data show at least 20%.",
        ),
        (Outcome.PASS, (0.01, 0.0, 0.02), Threshold(high=0.1), "a rise of 10% is allowed."),
        (
            Outcome.INCONCLUSIVE,
            (-0.02, -0.2, 0.1),
            Threshold(low=-0.05),
            "a fall of 5% is allowed, and these data cannot rule out 20%.",
        ),
        (
            Outcome.INCONCLUSIVE,
            (-0.02, -0.2, 0.1),
            Threshold(low=0.0),
            "no fall is allowed, and these data cannot rule out a fall of 20%.",
        ),
        (
            Outcome.INCONCLUSIVE,
            (0.02, 0.01, 0.03),
            Threshold(low=0.05),
            "a rise of at least 5% is asked for, and these data cannot rule out a rise of 1%.",
        ),
        (
            Outcome.INCONCLUSIVE,
            (0.02, NAN, NAN),
            Threshold(high=0.0),
            "no rise is allowed, and these data are too few to tell.",
        ),
        (
            Outcome.INCONCLUSIVE,
            (-0.09, -0.6, 0.42),
            Threshold(high=2.0),
            "a rise of 200% is allowed, and these data are too few to tell.",
        ),
        (
            Outcome.WARN,
            (-0.2, -0.3, -0.1),
            Threshold(low=-0.05),
            "a fall of 5% is allowed, and these data show at least 10%.",
        ),
        (
            Outcome.BLOCK,
            (0.02, 0.01, 0.03),
            Threshold(low=0.05),
            "a rise of at least 5% is asked for, and these data show a rise of at most 3%.",
        ),
        (
            Outcome.BLOCK,
            (0.2, 0.1, 0.3),
            Threshold(high=0.0),
            "no rise is allowed, and these data show a rise of at least 10%.",
        ),
    ],
)
def test_what_is_allowed_and_what_the_interval_leaves_open(
    outcome: Outcome, seen: tuple[float, float, float], allowed: Threshold, tail: str
) -> None:
    assert say_verdict(rail("hide_rate", outcome, *seen, allowed=allowed), WORDS).partition("; ")[2] == tail


def test_a_level_is_held_against_the_most_and_the_least() -> None:
    most = rail("hide_rate", Outcome.BLOCK, 0.03, 0.025, 0.035, allowed=Threshold(high=0.02), relative=False)
    assert say_verdict(most, WORDS) == (
        f"{SLOTS} hid it in 3% of looks; at most 2% is allowed, and these data show at least 2.5%."
    )
    least = rail("coverage", Outcome.PASS, 0.3, 0.2, 0.4, allowed=Threshold(low=0.1), relative=False)
    assert say_verdict(least, WORDS).endswith("is 30%; at least 10% is asked for.")
    low = rail("coverage", Outcome.BLOCK, 0.05, 0.04, 0.06, allowed=Threshold(low=0.1), relative=False)
    assert say_verdict(low, WORDS).endswith("at least 10% is asked for, and these data show at most 6%.")


def test_a_figure_that_is_no_evidence_says_why_and_not_that_there_are_too_few_data() -> None:
    seen = rail("hide_rate", Outcome.INCONCLUSIVE, 0.05, -0.1, 0.2, allowed=Threshold(high=0.1))
    doubted = replace(seen, doubt="no propensity is logged")
    assert say_verdict(doubted, WORDS) == (
        f"{SLOTS} hid it 5% more often than under champion 3; a rise of 10% is allowed, and whether that holds "
        "cannot be told: no propensity is logged."
    )


def test_what_rises_from_nothing_is_broken_and_not_said_to_be_untold() -> None:
    rose = rail("source_share:ads", Outcome.BLOCK, NAN, NAN, NAN, allowed=Threshold(high=0.1))
    assert say_verdict(rose, WORDS) == (
        "The share of looks that source ads gets rose from nothing under champion 3; a rise of 10% is allowed."
    )


def test_how_much_is_not_said_as_how_often() -> None:
    def said(gate: str, subject: str, *seen: float, threshold: str = "") -> str:
        return say_verdict(verdict(gate, subject, Outcome.PASS, *seen, threshold=threshold), WORDS)

    ratio = said("calibration", "spend.calibration_ratio", 0.93, 0.79, 1.05, threshold="0.5 to 2")
    assert ratio == "People paid for it 7% less than it predicts; 50% less to 100% more is allowed."
    rows = said("data", "spend.rows", 500, 500, 500, threshold=">= 100")
    assert rows == "On its test days 500 rows say how much people paid for it; at least 100 is asked for."
    age = said("freshness", "spend.newest_training_row", 9, 9, 9, threshold="<= 60 days")
    assert age.startswith("The newest row from which it learned how much people paid for it is 9 days old; ")


def test_a_segment_stands_in_front() -> None:
    new = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=Threshold(high=0.1), segment="tenure=new")
    assert say_verdict(new, WORDS).startswith(
        "Where tenure is new, of what it puts into the slots, people hid it"
    )


def test_a_rule_in_words_is_quoted() -> None:
    old = rail("hide_rate", Outcome.WARN, 0.3, 0.2, 0.4, allowed=Threshold(words="as declared"))
    assert say_verdict(old, WORDS).endswith("; allowed is as declared.")


def test_what_could_not_be_measured_says_why() -> None:
    lacking = Verdict(
        "decision", subject("hide_rate"), "all", Outcome.METRIC_MISSING, bound(""), None, "no slot holds it"
    )
    assert say_verdict(lacking, WORDS) == "It cannot be told how often people hid it: no slot holds it."
    share = Verdict("decision", subject("coverage"), "all", Outcome.METRIC_MISSING, bound(""), None)
    assert say_verdict(share, WORDS) == "The share of items that it shows at all cannot be told."


def test_calibration_is_said_as_more_or_less_often_than_predicted() -> None:
    def ratio(value: float, outcome: Outcome) -> str:
        seen = Estimate(value, value - 0.1, value + 0.1, 90)
        judged = Verdict(
            "calibration",
            subject("hide.calibration_ratio"),
            "all",
            outcome,
            bound("0.9 to 1.1"),
            seen,
        )
        return say_verdict(judged, WORDS)

    allowed = "10% less to 10% more is allowed"
    assert ratio(1.3, Outcome.BLOCK) == f"People hid it 30% more often than it predicts; {allowed}."
    assert ratio(0.8, Outcome.INCONCLUSIVE) == (
        f"People hid it 20% less often than it predicts; {allowed}, and these data are too few to tell."
    )
    assert ratio(1.0, Outcome.PASS) == f"People hid it as often as it predicts; {allowed}."


@pytest.mark.parametrize(
    ("judged", "sentence"),
    [
        (
            verdict("data", "click.rows", Outcome.INCONCLUSIVE, 1234, 1234, 1234, threshold=">= 5000"),
            "On its test days 1,234 rows say whether people opened it; at least 5,000 is asked for.",
        ),
        (
            verdict(
                "model", "click.auc_by_request", Outcome.INCONCLUSIVE, 0.582, 0.4, 0.73, threshold=">= 0.6"
            ),
            (
                "Of a candidate where people opened it and one where they did not, it gives the first the higher "
                "probability in 58.2% of cases; at least 60% is asked for, and these data are too few to tell."
            ),
        ),
        (
            verdict("model", "click.auc_drop", Outcome.BLOCK, 0.02, 0.01, 0.03, threshold="<= 0.005"),
            (
                "It tells candidates where people opened it from others less well than the champion, by 0.02 of AUC; "
                "at most 0.005 is allowed."
            ),
        ),
        (
            replace(
                verdict("model", "same_day_champion", Outcome.NO_RULE, 7, 7, 7),
                reason="same recipe: what differs is data only, newer by 7 days",
            ),
            "How it was learned: same recipe: what differs is data only, newer by 7 days.",
        ),
        (
            verdict(
                "model",
                "spend.relative_squared_error_rise vs the champion's recipe",
                Outcome.BLOCK,
                0.1,
                0.05,
                0.15,
                threshold="<= 0.01",
            ),
            (
                "Predicting how much people paid for it, its error over that of a constant is 0.1 higher than that of "
                "the champion's recipe learned from the same days; at most 0.01 is allowed."
            ),
        ),
        (
            Verdict(
                "model",
                subject("click.segments vs the champion's recipe"),
                "all",
                Outcome.WARN,
                bound(""),
                None,
                "none of 3 can be told",
            ),
            "Where it says whether people opened it: none of 3 can be told.",
        ),
        (
            verdict(
                "model",
                "click.auc_drop vs the champion's recipe",
                Outcome.BLOCK,
                0.02,
                0.01,
                0.03,
                threshold="<= 0.005",
            ),
            (
                "It tells candidates where people opened it from others less well than the champion's recipe learned "
                "from the same days, by 0.02 of AUC; at most 0.005 is allowed."
            ),
        ),
        (
            verdict(
                "model",
                "click.normalized_entropy_rise vs the champion's recipe",
                Outcome.PASS,
                -0.02,
                -0.03,
                -0.01,
                threshold="<= 0.01",
            ),
            (
                "Predicting whether people opened it, its error over that of a constant is 0.02 lower than that of "
                "the champion's recipe learned from the same days; at most 0.01 is allowed."
            ),
        ),
        (
            verdict("model", "click.normalized_entropy", Outcome.BLOCK, 1.02, 1.01, 1.03, threshold="< 1"),
            "Predicting whether people opened it, its error is 102% of a constant's; less than 100% is allowed.",
        ),
        (
            verdict("model", "click.normalized_entropy_rise", Outcome.PASS, -0.02, -0.03, -0.01),
            (
                "Predicting whether people opened it, its error over that of a constant is 0.02 lower than the "
                "champion's; at most 1 is allowed."
            ),
        ),
        (
            verdict("model", "click.auc_over_best_feature", Outcome.WARN, -0.1, -0.2, 0.0, threshold="> 0"),
            (
                "It tells candidates where people opened it from others less well than the best of its features "
                "alone, by 0.1 of AUC; more than 0 is asked for."
            ),
        ),
        (
            replace(
                verdict(
                    "model",
                    "click.auc of price_1.5",
                    Outcome.BLOCK,
                    0.999,
                    0.99,
                    1.0,
                    threshold="<= 0.98",
                ),
                reason="price_1.5 alone: too good to be true",
            ),
            (
                "By price_1.5 alone, of a candidate where people opened it and one where they did not, the first stands "
                "higher in 99.9% of cases; at most 98% is allowed (price_1.5 alone: too good to be true)."
            ),
        ),
        (
            replace(
                verdict("model", "click.auc", Outcome.BLOCK, 0.999, 0.99, 1.0, threshold="<= 0.98"),
                reason="the head: too good to be true",
            ),
            (
                "Of a candidate where people opened it and one where they did not, it gives the first the higher "
                "probability in 99.9% of cases; at most 98% is allowed (the head: too good to be true)."
            ),
        ),
        (
            verdict("model", "spend.relative_squared_error", Outcome.PASS, 0.92, 0.9, 0.94, threshold="< 1"),
            "Predicting how much people paid for it, its squared error is 92% of a constant's; less than 100% is allowed.",
        ),
        (
            verdict("model", "click.refit_shift", Outcome.INCONCLUSIVE, 0.08, 0.05, 0.13, threshold="<= 0.1"),
            (
                "What is served lies 8% from what was tested, where it says whether people opened it; at most 10% is "
                "allowed, and these data are too few to tell."
            ),
        ),
        (
            replace(
                verdict("model", "spend.auc", Outcome.NO_RULE, threshold=""), reason="a value task has no AUC"
            ),
            "Where it says how much people paid for it: a value task has no AUC.",
        ),
        (
            replace(
                verdict("data", "buy.trained", Outcome.WARN),
                reason="keeps the champion's model. 3 positives.",
            ),
            "Where it says whether people bought it: keeps the champion's model. 3 positives.",
        ),
        (
            replace(verdict("policy", "in_force", Outcome.BLOCK), reason="another utility.yaml is in force"),
            "The contracts that it was made under: another utility.yaml is in force.",
        ),
        (
            verdict(
                "lineage", "training_days", Outcome.BLOCK, 0, 0, 0, threshold=">= 1 days before the test"
            ),
            "Days from its training to its test: 0; at least 1 days before the test is asked for.",
        ),
        (
            verdict(
                "shadow", Subject("error_rate"), Outcome.BLOCK, 0.02, 0.01, 0.03, threshold="<= 0 of requests"
            ),
            "On the newest traffic 2% of requests get no answer; at most 0% of requests is allowed.",
        ),
        (
            verdict(
                "latency", "scoring_time", Outcome.WARN, 2.4, 2.2, 2.6, threshold="<= 2 times the champion's"
            ),
            (
                "On the newest traffic scoring a request takes 2.4 times as long as with the champion; at most 2 times "
                "the champion's is allowed."
            ),
        ),
        (verdict("data", "validation", Outcome.BLOCK), "The labels do not pass validation."),
        (verdict("data", "validation", Outcome.PASS), "The labels pass validation."),
        (
            verdict(
                "freshness", "click.newest_training_row", Outcome.BLOCK, 90, 90, 90, threshold="<= 60 days"
            ),
            "The newest row from which it learned whether people opened it is 90 days old; at most 60 days is allowed.",
        ),
        (
            verdict("shadow", "overlap_at_k", Outcome.BLOCK, 0.25, 0.2, 0.3, threshold=">= 0.3"),
            "On the newest traffic 25% of its slots hold what the champion would show; at least 30% is asked for.",
        ),
        (
            verdict("shadow", "score_shift", Outcome.BLOCK, 1.5, 1.2, 1.8),
            "On the newest traffic its utilities lie 1.5 standard deviations from the champion's; at most 1 is allowed.",
        ),
        (
            verdict(
                "proxies",
                Subject("proxy", task="buy", feature="click"),
                Outcome.WARN,
                0.1,
                -0.1,
                0.3,
                threshold="> 0",
            ),
            (
                "In the tenth where it expects most that people opened it, people bought it more often than in the "
                "others, by 0.1 a look; no worse is allowed."
            ),
        ),
        (
            replace(
                verdict(
                    "proxies", Subject("proxy", task="hide", feature="click"), Outcome.WARN, -0.1, -0.3, 0.1
                ),
                reason="the worst of all",
            ),
            (
                "In the tenth where it expects most that people opened it, people hid it more often than in the "
                "others, by 0.1 a look; no worse is allowed (the worst of all)."
            ),
        ),
        (
            verdict("parity", "served", Outcome.BLOCK, threshold=""),
            "What was served beside what it gives: not known.",
        ),
        (
            replace(
                verdict("constraints", Subject("leak", constraint="no_gore"), Outcome.BLOCK, 3, 3, 3),
                reason="3 of 90 got a slot",
            ),
            "Its slots hold what no gore keeps out: 3 of 90 got a slot; nobody may override that.",
        ),
        (
            replace(
                verdict("constraints", Subject("leak", constraint="legal"), Outcome.BLOCK, 3, 3, 3),
                reason="3 of 90 got a slot",
            ),
            "Its slots hold items nobody may sell: 3 of 90 got a slot; nobody may override that.",
        ),
        (
            replace(
                verdict(
                    "constraints",
                    Subject("leak", constraint="legal", baseline="champion 1"),
                    Outcome.WARN,
                    3,
                    3,
                    3,
                ),
                reason="3 of 90 got a slot",
            ),
            "The slots of champion 1, which it is compared with, hold items nobody may sell: 3 of 90 got a slot.",
        ),
    ],
)
def test_other_gates_speak_of_what_they_judge(judged: Verdict, sentence: str) -> None:
    assert say_verdict(judged, WORDS) == sentence


def test_a_segment_without_a_name_is_said_to_be_empty() -> None:
    told = rail("hide_rate", Outcome.WARN, 0.3, 0.2, 0.4, allowed=Threshold(high=0.1), segment="tenure=")
    assert say_verdict(told, WORDS).startswith("Where tenure is empty, of what it puts")


def test_a_change_against_an_anchor_is_not_said_to_be_one_against_the_champion() -> None:
    rose = rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=Threshold(high=0.1))
    against = "release 1, the anchor 'stable'"
    told = say_verdict(replace(rose, against=against), WORDS)
    assert told.startswith(f"{SLOTS} hid it 30% more often than under {against}; a rise of 10% is allowed")
    assert "champion 3" not in told


def test_the_primary_is_named_beside_what_served_four_promotions_ago() -> None:
    subject = "observed_utility vs four promotions ago"
    unknown = replace(
        verdict("decision", subject, Outcome.NO_RULE), reason="fewer than four promotions so far"
    )
    worth = "What its slots are worth, by the outcomes that were seen,"
    assert say_verdict(unknown, WORDS) == (
        f"{worth} beside what served four promotions ago, cannot be told: fewer than four promotions so far."
    )
    fell = rail(subject, Outcome.BLOCK, -0.3, -0.4, -0.2, allowed=Threshold(low=-0.1))
    told = say_verdict(replace(fell, against="release 2, four promotions ago"), WORDS)
    assert told.startswith(f"{worth} is 30% lower than under release 2, four promotions ago; a fall of 10%")


@pytest.mark.parametrize(
    ("said", "gate", "subject", "threshold"),
    [
        (
            "On its test days 1 row says whether people opened it; at least 5,000 is asked for.",
            "data",
            "click.rows",
            ">= 5000",
        ),
        (
            "On its test days 1 positive says whether people opened it; at least 200 is asked for.",
            "data",
            "click.positives",
            ">= 200",
        ),
        (
            "The newest row from which it learned whether people opened it is 1 day old; at most 1 day is allowed.",
            "freshness",
            "click.newest_training_row",
            "<= 1 days",
        ),
    ],
)
def test_one_of_a_thing_is_told_in_the_singular(said: str, gate: str, subject: str, threshold: str) -> None:
    assert (
        say_verdict(verdict(gate, subject, Outcome.BLOCK, 1.0, 1.0, 1.0, threshold=threshold), WORDS) == said
    )
