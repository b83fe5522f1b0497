"""A surface that lacks nothing, and the same with one thing changed."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from tasks.contracts import Contracts, load_surface
from tasks.evaluation.evidence import Finding, SlateRule, UtilityComposition, ValidationEvidence
from tasks.evaluation.release_evidence import EvidenceRuns
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.readiness.facts import (
    AuditTrail,
    GateReading,
    PolicyMove,
    ReadinessFacts,
    ReadRelease,
)
from tasks.replay.evidence import SimulationEvidence
from tasks.stores.manifest import Manifest, PinnedPart, PinnedSnapshot, Role
from tests.feeds import small_feed
from tests.verdicts import bound, subject

AS_OF = datetime(2026, 2, 16, tzinfo=UTC)
ROOM = date(2026, 1, 30)
"""A day whose outcomes were all known at the as-of."""
TASKS = ("click_1d", "buy_2d", "back_2d", "spend_2d")
FILES = {
    "surface": small_feed.SURFACE,
    "tasks": small_feed.TASKS,
    "utility": small_feed.UTILITY,
    "slate": "{policy: small-feed-slate, version: 1, length: 3, max_per: {category: 2}}",
}


def contracts(folder: Path, **changes: dict[str, Any]) -> Contracts:
    """Return the small feed's contracts, fit to be relied on; ``changes`` replace fields of a file."""
    plain = {name: yaml.safe_load(text) for name, text in FILES.items()}
    plain["surface"]["gates"] = {"calibration": {"by": ["category"]}}
    plain["surface"]["values"] = ["margin"]
    plain["utility"]["weights"]["buy_2d"] = {"weight": 10.0, "times": "margin"}
    plain["utility"]["relevance_floor"] = {"click_1d": 0.01}
    plain["utility"]["hard_constraints"] = [
        {"name": "adult", "drop_when": {"column": "adult", "equals": True}}
    ]
    for name, fields in changes.items():
        plain[name].update(fields)
    written = {name: yaml.safe_dump(fields, sort_keys=False) for name, fields in plain.items()}
    return load_surface(small_feed.write_contracts(folder, **written), small_feed.NAME)


def facts(of: Contracts) -> ReadinessFacts:
    """Return contracts with a judged release that follows them, and one supported change."""
    move = PolicyMove(row=3, release=7, changed=("utility",), experiment="feed-142", waiver=None)
    return ReadinessFacts(of, release(of), AuditTrail(2, (move,)))


def release(of: Contracts) -> ReadRelease:
    return ReadRelease(7, champion=True, manifest=manifest(of), run="run-release", reading=reading())


def manifest(of: Contracts) -> Manifest:
    heads = [
        PinnedPart(f"small_feed.{role}.{task}", 3, "f" * 64, role, task, ROOM)
        for task in TASKS
        for role in (Role.TASK, Role.CALIBRATOR)
    ]
    policies = [
        PinnedPart(f"small_feed.{role}", 1, "e" * 64, role)
        for role in (Role.UTILITY_POLICY, Role.SLATE_POLICY)
    ]
    return Manifest(
        surface="small_feed",
        as_of=AS_OF,
        snapshot=PinnedSnapshot("abc123", of.digests["tasks"], "d", AS_OF),
        contracts=dict(of.digests),
        test=(date(2026, 2, 7), date(2026, 2, 13)),
        parts=(*heads, *policies),
        files={},
        code={},
    )


def reading() -> GateReading:
    calibrated = [
        verdict("calibration", f"{task}.calibration_ratio", segment)
        for task in TASKS[:3]
        for segment in (ALL, Segment("category", "a"), Segment("category", "b"))
    ]
    verdicts = (
        verdict("data", "validation", run="run-validate"),
        *calibrated,
        verdict("decision", "back_2d_rate", run="run-simulate"),
    )
    runs = EvidenceRuns("run-validate", "run-release", "run-simulate", "run-shadow")
    return GateReading("run-gate", verdicts, validation(), simulation(), runs)


def verdict(
    gate: str, name: str, segment: Segment = ALL, outcome: Outcome = Outcome.PASS, run: str = "run-release"
) -> Verdict:
    seen = None if outcome is Outcome.METRIC_MISSING else Estimate(1.0, 0.9, 1.1, 900)
    return Verdict(gate, subject(name), segment, outcome, bound("0.9 to 1.1"), seen, evidence=run)


def validation(*, failed: str = "", absent: str = "") -> ValidationEvidence:
    names = (
        "expect_label_value_only_when_observed",
        "expect_conditional_label_only_where_parent_positive",
        "expect_no_label_observed_before_maturity",
    )
    findings = tuple(
        Finding("labels", name, ", ".join(TASKS), "critical", name != failed, _broken(name == failed), "")
        for name in names
        if name != absent
    )
    severity = "critical" if failed else None
    return ValidationEvidence(
        snapshot="abc123", success=not failed, severity=severity, expectations=findings, report=""
    )


def _broken(fails: bool) -> str:
    return f"{7 if fails else 0} of 57,600 rows"


SIMULATED = SimulationEvidence(
    release=7,
    champion=None,
    baseline="logged",
    report="",
    guardrails=(),
    measured=(),
    others={},
    comparisons=None,
    composition=None,
    notes=(),
)


def simulation(*, terms: tuple[str, ...] = TASKS[:3]) -> SimulationEvidence:
    each = {"prediction": 0.1, "contribution": 0.25, "spread": 0.1, "weight": 1.0, "times": None}
    composition = {"utility": 0.5, "spread": 0.2, "terms": [{"task": t, "heads": [t], **each} for t in terms]}
    short = SlateRule(rule="max_per category 2", slates=90, unmet=3, too_few=3, slots_short=4)
    composed = UtilityComposition.model_validate(composition)
    return SIMULATED.model_copy(update={"composition": composed, "slate_rules": (short,)})


def evaluated(of: ReadinessFacts, **changes: Any) -> ReadinessFacts:
    """Return the same with a changed judgement."""
    assert of.release is not None
    assert of.release.reading is not None
    return with_release(of, reading=replace(of.release.reading, **changes))


def with_release(of: ReadinessFacts, **changes: Any) -> ReadinessFacts:
    assert of.release is not None
    return replace(of, release=replace(of.release, **changes))


def with_manifest(of: ReadinessFacts, **changes: Any) -> ReadinessFacts:
    assert of.release is not None
    return with_release(of, manifest=replace(of.release.manifest, **changes))


def with_verdicts(of: ReadinessFacts, *verdicts: Verdict) -> ReadinessFacts:
    """Return the same with verdicts in the place of those of the same subject and segment."""
    assert of.release is not None
    assert of.release.reading is not None
    told = {(str(v.subject), v.segment) for v in verdicts}
    kept = [v for v in of.release.reading.verdicts if (str(v.subject), v.segment) not in told]
    return evaluated(of, verdicts=(*kept, *verdicts))
