"""One table phrases every figure and verdict: name, change or level, baseline, interval, limit, outcome.

Words come from the contracts; what has none is called by its name.
"""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.contracts import Family, load_surface
from tasks.contracts.metrics import MetricKind
from tasks.evaluation.subjects import ALL, RATCHET, SAME_DAY, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.reports.phrases import (
    METRICS,
    Vocabulary,
    describe_subject,
    name_subject,
    phrase_verdict,
    vocabulary,
    write_interval,
)
from tests.contracts.files import load_files
from tests.reports.vocabularies import WORDS, rail, verdict
from tests.verdicts import subject

NAN = math.nan


@pytest.mark.parametrize(
    ("judged", "phrase"),
    [
        (
            rail("hide_rate", Outcome.INCONCLUSIVE, -0.09, -0.609, 0.428, allowed=Threshold(high=2.0)),
            "hide rate -9.0 % vs champion 3 (95 % CI -60.9 to +42.8 %; limit +200 %): inconclusive",
        ),
        (
            rail("observed_utility", Outcome.PASS, 0.057, -0.03, 0.12, allowed=Threshold(low=-0.05)),
            "observed utility +5.7 % vs champion 3 (95 % CI -3.0 to +12.0 %; limit -5 %): pass",
        ),
        (
            rail("ndcg_click", Outcome.INCONCLUSIVE, 0.02, NAN, NAN, allowed=Threshold(low=0.0)),
            "NDCG of click +2.0 % vs champion 3 (no interval; limit 0 %): inconclusive",
        ),
        (
            rail("spend_rate", Outcome.PASS, 0.02, 0.01, 0.03, allowed=Threshold(low=0.0), relative=False),
            "spend per examined impression 0.02 (95 % CI 0.01 to 0.03; at least 0): pass",
        ),
        (
            rail(
                "source_exposure_ratio:ads",
                Outcome.BLOCK,
                *(0.6, 0.55, 0.66),
                allowed=Threshold(low=0.8),
                relative=False,
            ),
            "exposure ratio of ads in source 0.6 (95 % CI 0.55 to 0.66; at least 0.8): block",
        ),
        (
            rail(
                "source_share:ads",
                Outcome.WARN,
                0.3,
                0.25,
                0.35,
                allowed=Threshold(high=0.2),
                relative=False,
                segment=Segment("tenure", "new"),
            ),
            "share of ads in source, tenure = new: 30 % (95 % CI 25 to 35 %; at most 20 %): warning",
        ),
        (
            verdict(
                "calibration",
                "buy.calibration_ratio",
                Outcome.BLOCK,
                0.87,
                0.81,
                0.92,
                threshold="0.9 to 1.1",
            ),
            "calibration of buy 0.87 (95 % CI 0.81 to 0.92; 0.9 to 1.1): block",
        ),
        (
            verdict("model", "click.auc of price", Outcome.BLOCK, 0.97, 0.96, 0.98, threshold="<= 0.9"),
            "AUC of click by price alone 0.97 (95 % CI 0.96 to 0.98; at most 0.9): block",
        ),
        (
            verdict(
                "freshness", "buy.newest_training_row", Outcome.PASS, 97, 97, 97, threshold="<= 160 days"
            ),
            "age of training data, buy 97 days (at most 160 days): pass",
        ),
        (
            verdict("data", "click.rows", Outcome.BLOCK, 1200, 1200, 1200, threshold=">= 5000"),
            "test rows of click 1,200 (at least 5,000): block",
        ),
        (
            Verdict(
                "constraints",
                Subject("leak", constraint="legal", baseline="champion 1"),
                ALL,
                Outcome.WARN,
                Threshold(high=0, unit="in its slots"),
                Estimate(3, 3, 3, 900),
            ),
            "legal in the slots of champion 1 3 (at most 0 in its slots): warning",
        ),
        (
            verdict("shadow", "overlap_at_k", Outcome.METRIC_MISSING, threshold=">= 0.5"),
            "overlap with the champion's slots (at least 50 %): not measured",
        ),
    ],
)
def test_a_verdict_is_phrased_as_in_the_table_of_words(judged: object, phrase: str) -> None:
    assert phrase_verdict(judged, WORDS) == phrase  # type: ignore[arg-type]


def test_a_reason_and_a_caveat_follow_the_outcome_once() -> None:
    judged = rail("hide_rate", Outcome.INCONCLUSIVE, 0.1, 0.0, 0.2, allowed=Threshold(high=0.1))
    assert phrase_verdict(replace(judged, reason="57 events"), WORDS).endswith(": inconclusive, 57 events")
    both = replace(judged, reason="57 events", caveat="reordering only")
    assert phrase_verdict(both, WORDS).endswith(": inconclusive, reordering only; 57 events")
    assert phrase_verdict(replace(both, caveat="57 events"), WORDS).endswith(": inconclusive, 57 events")


def test_a_baseline_of_its_own_is_named_before_that_of_the_decision() -> None:
    judged = rail("observed_utility", Outcome.PASS, 0.1, 0.0, 0.2, allowed=Threshold(low=-0.1))
    assert " vs champion 3 " in phrase_verdict(judged, WORDS)
    assert " vs release 1 " in phrase_verdict(replace(judged, against="release 1"), WORDS)
    anchored = replace(judged, subject=replace(judged.subject, baseline=RATCHET))
    assert f" vs {RATCHET} " in phrase_verdict(anchored, WORDS)
    drop = verdict("model", f"click.auc_drop vs {SAME_DAY}", Outcome.PASS, 0.01, 0.0, 0.02)
    assert phrase_verdict(drop, WORDS).startswith(f"fall of AUC, click 0.01 vs {SAME_DAY} (")


def test_a_rise_from_a_baseline_of_zero_has_no_percentage() -> None:
    judged = rail("report_rate", Outcome.BLOCK, NAN, NAN, NAN, allowed=Threshold(high=0.1))
    assert (
        phrase_verdict(judged, WORDS) == "report rate above 0, the level of champion 3 (limit +10 %): block"
    )


def test_every_metric_of_the_decision_has_a_row_and_needs_only_fields_of_its_subject() -> None:
    assert set(MetricKind) <= METRICS.keys()
    whole = Subject("x", "task", "parent", "column", "value", "feature", "constraint", "baseline")
    for metric in METRICS:
        assert "{" not in name_subject(replace(whole, metric=metric), WORDS)


def test_a_metric_without_a_row_goes_by_its_own_name() -> None:
    assert name_subject(Subject("odd_count", task="click"), WORDS) == "odd count, click"
    assert name_subject(Subject("test", feature="price"), WORDS) == "price in test"
    assert name_subject(Subject("served_features", feature="price"), WORDS) == "price in served features"
    assert name_subject(Subject("served"), WORDS) == "difference from served predictions"


def test_direction_signs_of_a_name_are_isolated() -> None:
    assert "\N{FIRST STRONG ISOLATE}" in name_subject(
        Subject("share", column="source", value="\u05d0"), WORDS
    )


def test_a_description_of_the_contract_comes_before_that_of_the_table() -> None:
    assert describe_subject(subject("hide_rate"), WORDS) == "events per examined impression: people hid it"
    assert describe_subject(subject("odd_rate"), WORDS) == "events per examined impression"
    guarded = replace(WORDS, guards={"hide_rate": "people who hide items"})
    assert describe_subject(subject("hide_rate"), guarded) == "people who hide items"
    assert describe_subject(Subject("leak", constraint="legal"), WORDS) == "items nobody may sell"


def test_a_cell_of_a_table_holds_level_and_interval() -> None:
    assert write_interval(subject("hide_rate"), Estimate(0.02, 0.01, 0.03, 9), WORDS) == "2 % (1 to 3 %)"
    assert write_interval(subject("hide_rate"), Estimate(0.02, NAN, NAN, 9), WORDS) == "2 %, no interval"
    assert write_interval(subject("latency_p99_ms"), Estimate(84, 84, 84, 9), WORDS) == "84 ms"


SURFACES = Path(__file__).parents[2] / "surfaces"


def test_a_surface_says_what_its_tasks_guardrails_and_constraints_mean() -> None:
    words = vocabulary(load_surface(SURFACES, "weekly_circular"), champion=None)
    assert words.tasks["passed_over_7d"].did == "took another product"
    assert (words.tasks["passed_over_7d"].family, words.tasks["spend_7d"].value) == (Family.NEGATIVE, True)
    assert words.guards["purchase_7d_rate"] == "dear products alone are no success"
    assert words.constraints == {"price_unknown": "products whose usual price nobody knows"}
    assert words.primary == ("spend_7d_rate",)


@pytest.mark.parametrize(
    "surface", ["case_desk", "home_feed", "open_bandit", "short_video", "weekly_circular"]
)
def test_every_task_of_this_repository_is_described(surface: str) -> None:
    words = vocabulary(load_surface(SURFACES, surface), champion=None)
    assert all(task.did for task in words.tasks.values())


def test_a_release_stands_beside_the_champion_or_what_the_surface_names_for_a_first(tmp_path: Path) -> None:
    contracts = load_surface(SURFACES, "weekly_circular")
    assert vocabulary(contracts, champion=3).baseline == "champion 3"
    assert vocabulary(contracts, champion=None).baseline == "order of popularity"
    logged = load_files(tmp_path)
    assert vocabulary(logged, champion=None).baseline == "logged order"


def test_what_is_no_task_has_no_family_and_what_is_no_metric_is_none() -> None:
    words = Vocabulary()
    assert words.family("click") is None
    assert words.metric("click_rate") is None
