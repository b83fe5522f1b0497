"""What is printed of a simulation: the harmed segment first, figures with their intervals."""

from io import StringIO
from typing import Any

from rich.console import Console

from tasks.cli import simulation_text
from tasks.cli.output import as_text
from tests.verdicts import subject

HIDE = subject("hide_rate").to_json()
LEVEL = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 90}
RISE = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 90}


def verdict(name: str, segment: str, outcome: str) -> dict[str, Any]:
    return {
        "subject": subject(name).to_json(),
        "segment": segment,
        "outcome": outcome,
        "observed": RISE,
        "relative": True,
        "threshold": {"high": 0.05, "words": "rise of 5.0%"},
    }


def test_harmed_segments_stand_before_the_primary() -> None:
    guardrails = [verdict("observed_utility", "all", "pass"), verdict("hide_rate", "tenure=new", "block")]
    headline = {"click_rate": {"policy": LEVEL, "baseline": None, "relative": {**RISE, "low": None}}}
    plain = {"release": 3, "baseline": "champion 2", "guardrails": guardrails, "headline": headline}
    lines = as_text(
        simulation_text.write_simulation({**plain, "policies": [], "off_policy": [], "report": "/r.html"})
    ).splitlines()
    assert lines[0] == "release 3 against champion 2"
    assert lines[2].split() == [
        "block",
        "hide_rate",
        "tenure=new",
        "+50.0%",
        "[+25.0%,",
        "+75.0%]",
        "rise",
        "of",
        "5.0%",
    ]
    assert lines[3].startswith("pass")
    assert lines[-2].split() == ["click_rate", "0.5", "[0.25,", "0.75]", "-", "+50.0%", "[?]"]
    assert lines[-1] == "report: /r.html"


def test_a_further_policy_is_written_with_its_verdicts_and_metrics_beside_the_same_baseline() -> None:
    metrics = {
        "click_rate": {"value": 0.5, "baseline": 0.4, "change": 0.25},
        "coverage": dict.fromkeys(("value", "baseline", "change")),
    }
    broken = [verdict("hide_rate", "all", "block")]
    own = {"name": "release 3", "verdict": "pass", "metrics": metrics, "verdicts": []}
    policies = [own, {**own, "name": "bold.yaml", "verdict": "block", "verdicts": broken}]
    plain = {"release": 3, "baseline": "champion 2", "guardrails": [], "headline": {}, "report": "/r.html"}
    best = {"name": "bold.yaml", "gain": 0.05, "gain_without_luck": 0.031}
    selection = {"policies": 7, "luck": 1.352, "best": best}
    further = {"policies": policies, "off_policy": [], "selection": selection}
    written = " ".join(as_text(simulation_text.write_simulation({**plain, **further})).split())
    assert (
        "7 policies were measured on these days: the best of as many equal ones looks 1.35 standard"
        in written
    )
    assert "bold.yaml gains +5.0%, without that luck +3.1%" in written
    assert "bold.yaml against champion 2: block" in written
    assert "block hide_rate all +50.0% [+25.0%, +75.0%] rise of 5.0%" in written
    assert "click_rate 0.5 0.4 +25.0%" in written
    assert "coverage - - -" in written


def test_an_off_policy_estimate_stands_beside_the_replay_and_says_why_it_inconclusive() -> None:
    figures = {"replayed": LEVEL, "off_policy": {**LEVEL, "low": None}, "ess": 1234.4}
    one = {"subject": HIDE, "bound": "level", "verdict": "disagrees", "reason": "", **figures}
    thin = {
        "subject": subject("buy_rate").to_json(),
        "bound": "change",
        "verdict": "inconclusive",
        "reason": "3 outcomes",
        **figures,
    }
    checks = [one, {**thin, "ess": None}, {**thin, "subject": subject("like_rate").to_json()}]
    plain = {"release": 3, "baseline": "champion 2", "guardrails": [], "headline": {}, "report": "/r.html"}
    written = as_text(simulation_text.write_simulation({**plain, "policies": [], "off_policy": checks}))
    assert "judges nothing" in written
    assert "disagrees hide_rate 0.5 [0.25, 0.75] 0.5 [?] 1,234" in " ".join(written.split())
    assert "inconclusive buy_rate +50.0% [+25.0%, +75.0%] +50.0% [?] -" in " ".join(written.split())
    assert "  buy_rate, like_rate: 3 outcomes\n" in written


def test_names_are_whole_on_a_narrow_terminal() -> None:
    named = verdict("observed_utility vs four promotions ago", "user_tenure=returning_after_months", "pass")
    plain = {"release": 3, "baseline": "champion 2", "guardrails": [named], "headline": {}, "policies": []}
    out = StringIO()
    Console(width=60, file=out).print(
        simulation_text.write_simulation({**plain, "off_policy": [], "report": "/r.html"})
    )
    written = out.getvalue()
    assert "\u2026" not in written
    column = "".join(line[9:].split("  ")[0].strip() for line in written.splitlines()[2:])
    assert "observed_utilityvsfour" in column.replace(" ", "")


def test_a_shadow_is_a_table_with_the_reasons_of_what_is_no_pass() -> None:
    overlap = {**verdict("overlap_at_k", "all", "block"), "relative": False, "reason": "slates differ"}
    served = {
        **verdict("served", "all", "no_rule"),
        "observed": None,
        "threshold": {},
        "reason": "not logged",
    }
    plain = {"challenger": 2, "champion": 1, "day": "2026-02-11", "candidates": 4800, "run_id": "r1"}
    lines = as_text(simulation_text.write_shadow({**plain, "verdicts": [overlap, served]})).splitlines()
    assert lines[0] == "release 2 beside champion 1: 4,800 candidates of 2026-02-11"
    assert lines[2].split()[:5] == ["block", "overlap_at_k", "all", "0.5", "[0.25,"]
    assert lines[-3:] == ["  overlap_at_k: slates differ", "  served: not logged", "run: r1"]
    first = as_text(simulation_text.write_shadow({**plain, "champion": None, "verdicts": []}))
    assert first.startswith("release 2 without a champion: ")
