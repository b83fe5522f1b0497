"""The tuning page: a picture whose points open their weights, and what is proposed with its gain."""

import re

from tasks.reports.phrases import TaskWords, Vocabulary
from tasks.tuning.goal import WeightFigures
from tasks.tuning.page import tuning_page
from tasks.tuning.search import WeightTrial
from tests.tuning.tuning_documents import WEIGHTS, evidence

WORDS = Vocabulary()
TRIALS = (
    WeightTrial(0, {"click": 1.0, "hide": -3.0}, WeightFigures((0.0, 0.0), (0.0,))),
    WeightTrial(1, WEIGHTS, WeightFigures((0.02, -0.3), (0.25,))),
    WeightTrial(2, WEIGHTS, WeightFigures((0.02, -0.01), (-0.1,))),
)


def test_every_point_of_the_front_leads_to_the_card_with_its_weights() -> None:
    html = tuning_page("feed", evidence(), TRIALS, WORDS)
    marks = re.findall(r'<a href="#trial-(\d+)"[^>]*>\s*<circle class="mark (\w+)"[^>]*><title>([^<]*)', html)
    assert marks == [
        ("3", "proposed", "trial 3, proposed"),
        ("7", "dominated", "trial 7, dominated by its interval"),
        ("4", "knee", "trial 4, knee"),
    ]
    assert re.findall(r'class="card" id="trial-(\d+)"', html) == ["3", "7", "4"]


def test_trials_off_the_scale_of_the_front_are_left_out_and_bounds_exceeded_are_hollow() -> None:
    html = tuning_page("feed", evidence(), TRIALS, WORDS)
    assert html.count('class="tried"') == 2
    assert html.count('class="tried exceeding"') == 0


def test_the_page_says_how_much_was_tried_and_what_the_other_half_says() -> None:
    html = tuning_page("feed", evidence(), TRIALS, WORDS)
    text = re.sub(r"<[^>]+>|\s+|\u2060|&nbsp;", " ", html)
    assert "40 policies, 240 so far" in text
    assert "which the gate never reads" in text
    assert "click_rate +2.4% [+1.4%, +3.4%] vs the current weights, by outcomes" in text
    assert "click_predicted, model-judged: +4.8% [+3.8%, +5.8%] on the confirming half, +6.1% where" in text
    assert "reports/utility-v8.yaml" in text


def test_a_column_of_what_is_lowered_says_that_its_figures_are_falls() -> None:
    html = tuning_page("feed", evidence(), TRIALS, WORDS)
    raised, lowered = (one.metric for one in evidence().objectives)
    assert re.search(rf">{raised}, model-judged</th><th[^>]*>fall of {lowered}, model-judged</th>", html)


def test_the_page_is_whole_by_itself() -> None:
    html = tuning_page("feed", evidence(), TRIALS, WORDS)
    assert not re.search(r"(src=|@import|https?://)", html)


def test_a_restoration_has_no_front_and_names_what_was_exceeded() -> None:
    html = tuning_page(
        "feed",
        evidence(front=(), knee=None, exceeded={"hide_rate": 0.031}, proposal=None, ending="out of reach"),
        (),
        WORDS,
    )
    assert "<svg" not in html
    assert "hide_rate" in html
    assert "3.1%" in html
    assert "No weights in the ranges are within every bound" in html


def test_a_name_is_no_markup() -> None:
    assert "<b>x</b>" not in tuning_page("<b>x</b>", evidence(), TRIALS, WORDS)


def test_what_a_contract_describes_is_told_by_its_description() -> None:
    words = Vocabulary(
        {"click": TaskWords("opened it"), "hide": TaskWords("hid <it>")}, guards={"hide_rate": "peace"}
    )
    html = tuning_page("feed", evidence(exceeded={"hide_rate": 0.02}), TRIALS, words)
    assert html.count("<td>hide_rate<br><small>peace</small></td>") == 2
    assert "<td>hide<br><small>people hid &lt;it&gt;</small></td>" in html


def test_one_of_each_is_no_plural() -> None:
    html = tuning_page("feed", evidence(requests=(1, 1), searched_policies=(1, 1)), TRIALS, WORDS)
    assert "searched on 1 request of half of the users: 1 policy, 1 so far" in html
