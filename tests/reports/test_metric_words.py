"""Each kind of metric has words of its own, and a change its direction."""

import pytest

from tasks.contracts.metrics import NAMES
from tasks.reports.metric_words import say_change, say_level, say_metric, write_level
from tests.reports.vocabularies import WORDS

SLOTS = "of what it puts into the slots, people"


@pytest.mark.parametrize(
    ("metric", "change", "words"),
    [
        ("hide_rate", 0.111, f"{SLOTS} hid it 11.1% more often than under champion 3"),
        ("hide_rate", -0.05, f"{SLOTS} hid it 5% less often than under champion 3"),
        ("hide_rate", 0.0, f"{SLOTS} hid it as often as under champion 3"),
        ("spend_rate", 0.02, f"{SLOTS} paid for it 2% more than under champion 3"),
        ("hide_given_click_rate", 0.1, f"{SLOTS} who opened it hid it 10% more often than under champion 3"),
        ("odd_rate", 1.5, f"{SLOTS} did odd 150% more often than under champion 3"),
        (
            "click_predicted",
            0.1,
            "by prediction alone, " + SLOTS.replace(",", "") + " opened it 10% more often",
        ),
        (
            "source_share:ads",
            -0.1,
            "the share of looks that source ads gets is 10% lower than under champion 3",
        ),
        ("coverage", 0.0, "the share of items that it shows at all is equal to that under champion 3"),
        ("no_metric_of_ours", 0.1, "no_metric_of_ours is 10% higher than under champion 3"),
    ],
)
def test_a_change_is_said_with_what_it_is_of(metric: str, change: float, words: str) -> None:
    assert say_change(WORDS.metric(metric), metric, change, WORDS).startswith(words)


@pytest.mark.parametrize(
    ("metric", "level", "words"),
    [
        ("hide_rate", 0.02, f"{SLOTS} hid it in 2% of looks"),
        ("spend_rate", 1.234, f"{SLOTS} paid for it: 1.23 a look"),
        ("latency_p99_ms", 81.26, "the time that its slowest requests take is 81.3 ms"),
        ("source_entropy", 1.5, "how evenly looks are spread over source is 1.5"),
        ("coverage", 0.5, "the share of items that it shows at all is 50%"),
    ],
)
def test_a_level_is_said_in_its_unit(metric: str, level: float, words: str) -> None:
    assert say_level(WORDS.metric(metric), metric, level, WORDS) == words


def test_every_kind_of_metric_has_words() -> None:
    for pattern in NAMES.values():
        for subject in ("click", "source"):
            name = pattern.format(subject, "buy" if "given" in pattern else "ads")
            metric = WORDS.metric(name)
            if metric is not None:
                assert say_metric(metric, name, WORDS) != name


def test_of_a_value_it_is_asked_how_much() -> None:
    assert say_metric(WORDS.metric("spend_rate"), "spend_rate", WORDS) == "how much people paid for it"
    assert say_metric(WORDS.metric("hide_rate"), "hide_rate", WORDS) == "how often people hid it"


def test_an_unknown_metric_keeps_its_name_and_its_number() -> None:
    assert say_metric(None, "odd.one", WORDS) == "odd.one"
    assert write_level(None, 0.5, WORDS) == "0.5"
