"""The simulation report: guardrails first, then figures beside the baseline, further policies and segments."""

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.replay.page import simulation_page

RATE = Measured(
    "like_rate",
    "all",
    "release 1",
    Estimate(0.1, 0.08, 0.12, 2345),
    None,
    Estimate(0.05, 0.01, 0.09, 9),
    MetricKind.RATE,
    "like",
)
NEW = Measured(
    "like_rate", "tenure=<new>", "release 1", Estimate(0.3, 0.2, 0.4, 7), None, None, MetricKind.RATE, "like"
)
UNKNOWN = Measured(
    "<script>", "all", "release 1", None, None, None, MetricKind.COVERAGE, reason="no slot holds <b>"
)
RAIL = Verdict(
    "decision",
    "<i>",
    "all",
    Outcome.WARN,
    "rise of 5.0%",
    Estimate(0.05, 0.01, 0.09, 9),
    "<u>",
    relative=True,
)


def page(*measured: Measured, others: dict[str, list[Measured]] | None = None) -> str:
    return simulation_page("t", [], verdicts=[RAIL], measured=measured, others=others or {}, notes=["<s>"])


def test_a_metric_stands_with_its_intervals_beside_the_baseline() -> None:
    row = page(RATE).split("<td>like_rate</td>")[1]
    assert "0.1 [0.08,\N{NO-BREAK SPACE}0.12]</td>" in row
    assert "+5.0% [+1.0%,\N{NO-BREAK SPACE}+9.0%]</td>" in row
    assert "2,345" in row


def test_what_cannot_be_measured_says_why() -> None:
    assert "cannot tell: no slot holds &lt;b&gt;" in page(UNKNOWN)


def test_segments_come_last_and_only_where_there_are_some() -> None:
    assert "By segment" not in page(RATE)
    whole, segments = page(NEW, RATE, others={"mine": [RATE]}).split("By segment")
    assert "tenure=&lt;new&gt;" in segments
    assert "tenure" not in whole
    assert (
        whole.index("Primary and guardrails")
        < whole.index("Policy and baseline")
        < whole.index("mine against the release")
    )


def test_the_page_is_self_contained_and_escapes_what_it_shows() -> None:
    text = page(UNKNOWN, others={"<em>": [RATE]})
    for markup in ("<script>", "<b>", "<i>", "<u>", "<s>", "<em>", "http"):
        assert markup not in text
    assert '<td class="verdict warn">warn</td><td>&lt;i&gt;</td>' in text
