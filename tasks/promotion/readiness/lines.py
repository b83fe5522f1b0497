"""The items of the readiness checklist, each evaluated from contracts, a release, verdicts or audit log.

::

    training    outcomes, windows, maturity, masks, loss weights, negative outcomes
    decision    weights, versions, guardrails, filters, business value, slates, changes
    evaluation  calibrated probabilities, segments, the components of the decision
"""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final

from tasks.contracts import Contracts, Family, SlateSpec, TasksSpec, UtilitySpec
from tasks.contracts.crosscheck_utility import compare_with_losses
from tasks.contracts.durations import describe_duration
from tasks.contracts.metrics import read_metric
from tasks.errors import list_names
from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.policy import POLICIES
from tasks.promotion.gates.references import weighted_tasks
from tasks.promotion.readiness.facts import (
    CONCLUSIVE,
    GateReading,
    ReadinessFacts,
    ReadinessLine,
    ReadRelease,
    conclusive_decisions,
)
from tasks.reports.numbers import format_counted, spoken
from tasks.stores.manifest import PinnedPart, Role

_MASKED = "expect_label_value_only_when_observed"
_EARLY = "expect_no_label_observed_before_maturity"
_CONDITIONAL = "expect_conditional_label_only_where_parent_positive"
TASKS_FILE = "tasks.yaml"


def tasks_explicit(facts: ReadinessFacts) -> ReadinessLine:
    """Check that each outcome is a task of its own, and that the release predicts these tasks (R1, R3)."""
    name, spec, release = "tasks explicit", facts.contracts.tasks, facts.release
    weighted = weighted_tasks(facts.contracts.utility)
    if len(weighted) == 1 and (parts := spec.parts(only := next(iter(weighted)))):
        mixed = f"the order rests on '{only}' alone, which mixes {', '.join(parts)} into one label"
        return ReadinessLine.not_met(name, f"{mixed}: weigh its parts", "utility.yaml", TASKS_FILE)
    if release is not None:
        heads = {*release.manifest.tasks}
        missing = [task for task in spec.trained if task not in heads]
        unknown = sorted(heads - {*spec.trained})
        if missing or unknown:
            said = [f"no head for {', '.join(missing)}"] * bool(missing)
            said += [f"a head for {', '.join(unknown)}, which no contract trains"] * bool(unknown)
            return ReadinessLine.not_met(name, f"{release.name} has {' and '.join(said)}", TASKS_FILE)
    families = len({task.family for task in spec.tasks.values()})
    of = f"{format_counted(len(spec.tasks), 'task')} of {format_counted(families, 'family', 'families')}"
    what = f"{of}, each with an outcome of its own"
    heads_of = f"; {release.name} has a head for each" if release else ""
    if spec.measured:
        heads_of += (
            f"{' that is trained' * bool(release)}; measured, never trained: {', '.join(spec.measured)}"
        )
    return ReadinessLine.met(name, f"{what}{heads_of}", TASKS_FILE)


def windows_defined(facts: ReadinessFacts) -> ReadinessLine:
    """Check that each outcome has a window, and that the labels were built with the windows in force (R5)."""
    name, contracts, release = "windows defined", facts.contracts, facts.release
    spec = contracts.tasks
    said = ", ".join(f"{task} {describe_duration(spec.window(task))}" for task in spec.tasks)
    if release is not None and release.manifest.snapshot.contract_digest != contracts.digests["tasks"]:
        built = (
            f"the labels of {release.name} (snapshot {release.manifest.snapshot.id}) were built by another"
        )
        return ReadinessLine.not_met(name, f"{built} tasks.yaml than is in force: retrain", TASKS_FILE)
    return ReadinessLine.met(name, said, TASKS_FILE)


def maturity_handled(facts: ReadinessFacts) -> ReadinessLine:
    """Check that components were trained only on days whose outcomes were mature at the as-of (R7, R8)."""
    name, release = "maturity handled", facts.release
    if release is None:
        return ReadinessLine.not_met(name, facts.without_release, TASKS_FILE)
    early = list(_learned_early(facts.contracts, release))
    if early:
        return ReadinessLine.not_met(
            name, f"learned before they were mature: {', '.join(early)}", release.run
        )
    slowest = _slowest(facts.contracts)
    corrected = [task for task in facts.contracts.tasks.trained if facts.contracts.delayed(task)]
    apart = (
        f"; {', '.join(corrected)} learn from open windows, corrected for their delay" if corrected else ""
    )
    why = f"every part of {release.name} learned from mature days alone, the slowest being {slowest}{apart}"
    return ReadinessLine.met(name, why, TASKS_FILE, release.run)


def masks(facts: ReadinessFacts) -> ReadinessLine:
    """Check that unobserved labels have no value in the training and test data (R9)."""
    return _validated(facts, "masks", (_MASKED, _CONDITIONAL), "a value only where a label is observed")


def delayed_outcomes(facts: ReadinessFacts) -> ReadinessLine:
    """Check that no row counts as a negative before its outcome is mature (R7, F7)."""
    what = f"no label before its maturity ({_slowest(facts.contracts)} the slowest)"
    return _validated(facts, "delayed outcomes no negatives", (_EARLY,), what)


def loss_weights_versioned(facts: ReadinessFacts) -> ReadinessLine:
    """Check that the release pins the loss weights in force (R12, R13)."""
    name, contracts, release = "loss weights versioned", facts.contracts, facts.release
    version = f"tasks.yaml version {contracts.tasks.version}"
    if release is None:
        return ReadinessLine.not_met(name, f"nothing pins {version}: {facts.without_release}", TASKS_FILE)
    if release.manifest.contracts.get("tasks") != contracts.digests["tasks"]:
        other = f"{release.name} pins another tasks.yaml than is in force ({version}): retrain"
        return ReadinessLine.not_met(name, other, TASKS_FILE, release.run)
    weights = {task: contracts.tasks.tasks[task].loss_weight for task in contracts.tasks.trained}
    apart = [f"{task} {weight:g}" for task, weight in weights.items() if weight != 1.0]
    said = ", ".join(apart) or "1 for every task"
    digest = contracts.digests["tasks"][:12]
    return ReadinessLine.met(
        name, f"{said}; {release.name} pins {version}, {digest}", TASKS_FILE, release.run
    )


def negatives_handled(facts: ReadinessFacts) -> ReadinessLine:
    """Check that negative outcomes are predicted, and have a cost or a guardrail (R4, R24, F9)."""
    name, contracts = "negatives handled", facts.contracts
    costs = [task for task in contracts.tasks.tasks if task in contracts.tasks.costs]
    if not costs:
        none = "no negative or safety task: no outcome measures harm"
        return ReadinessLine.not_met(name, none, TASKS_FILE)
    weighted = weighted_tasks(contracts.utility)
    bounded = {read_metric(rail.metric).subject for rail in contracts.utility.guardrails}
    loose = [task for task in costs if task not in weighted and task not in bounded]
    if loose:
        why = f"{', '.join(loose)} neither cost in the utility nor are bounded by a guardrail"
        return ReadinessLine.not_met(name, why, TASKS_FILE, "utility.yaml")
    said = ", ".join(f"{task} ({_handled(task, weighted, bounded)})" for task in costs)
    return ReadinessLine.met(name, said, TASKS_FILE, "utility.yaml")


def _handled(task: str, weighted: Collection[str], bounded: Collection[str | None]) -> str:
    ways = [way for way, tasks in (("costs", weighted), ("guarded", bounded)) if task in tasks]
    return " and ".join(ways)


def _validated(facts: ReadinessFacts, name: str, expectations: tuple[str, ...], what: str) -> ReadinessLine:
    """Check that expectations hold for every task in the validation of the release's labels."""
    release = facts.release
    if release is None:
        return ReadinessLine.not_met(name, f"no labels were validated: {facts.without_release}")
    reading = release.reading
    if reading is None:
        return ReadinessLine.not_met(name, facts.without_gates(release))
    run, findings = reading.runs.validation, [reading.findings(one) for one in expectations]
    if absent := [one for one, found in zip(expectations, findings, strict=True) if not found]:
        return ReadinessLine.not_met(name, f"the validation of its labels holds no {', '.join(absent)}", run)
    failed = [f for found in findings for f in found if not f.success]
    if failed:
        said = ", ".join(f"{one.subject}: {one.observed}" for one in failed)
        return ReadinessLine.not_met(name, f"{failed[0].expectation} failed: {said}", run)
    seen = findings[0][0]
    return ReadinessLine.met(name, f"{what}: {seen.observed} break it ({seen.subject})", run)


def _learned_early(contracts: Contracts, release: ReadRelease) -> Iterator[str]:
    for part in release.manifest.parts:
        if part.role not in {Role.TASK, Role.CALIBRATOR} or part.task not in contracts.tasks.tasks:
            continue
        if part.newest_training_row is None or contracts.delayed(part.task):
            continue
        known = _end_of_day(part) + contracts.tasks.maturity(part.task)
        if known > release.manifest.as_of:
            yield f"{part.name} version {part.version}, which learned from {part.newest_training_row}"


def _end_of_day(part: PinnedPart) -> datetime:
    return datetime.combine(part.trained_until(), time(), UTC) + timedelta(days=1)


def _slowest(contracts: Contracts) -> str:
    spec = contracts.tasks
    slowest = max(spec.tasks, key=spec.maturity)
    return f"{slowest} after {describe_duration(spec.maturity(slowest))}"


_UTILITY, _SLATE = POLICIES["utility"], POLICIES["slate"]
_BUSINESS = frozenset({Family.CONVERSION})
"""Families of outcomes that earn money; guardrails on other families protect users."""


def utility_weights_separate(facts: ReadinessFacts) -> ReadinessLine:
    """Check that the weights of the utility differ from the loss weights (R13)."""
    why, copied = compare_with_losses(facts.contracts.utility, facts.contracts.tasks)
    verdict = ReadinessLine.not_met if copied else ReadinessLine.met
    return verdict("utility weights separate", why, _UTILITY, "tasks.yaml")


def composition_versioned(facts: ReadinessFacts) -> ReadinessLine:
    """Check that the release pins the policies in force, each by version and digest (R19)."""
    name, contracts, release = "composition versioned", facts.contracts, facts.release
    if release is None:
        return ReadinessLine.not_met(name, f"nothing pins a policy: {facts.without_release}", _UTILITY)
    other = [
        POLICIES[kind]
        for kind in ("utility", "slate")
        if release.manifest.contracts.get(kind) != contracts.digests[kind]
    ]
    if other:
        why = f"{release.name} pins another {' and '.join(other)} than is in force"
        return ReadinessLine.not_met(name, f"{why}: equipoise policy apply {contracts.name}", *other)
    pinned = [release.manifest.find(role) for role in (Role.UTILITY_POLICY, Role.SLATE_POLICY)]
    said = ", ".join(f"{part.name} version {part.version}" for part in pinned if part is not None)
    owned = f"owner {contracts.utility.owner}, approved by {' and '.join(contracts.utility.approvals)}"
    return ReadinessLine.met(name, f"{release.name} pins {said}; {owned}", _UTILITY, _SLATE, release.run)


def guardrails_defined(facts: ReadinessFacts) -> ReadinessLine:
    """Check that the policy has guardrails, and that each was evaluated in the replay (R17, R33).

    An inconclusive guardrail counts as evaluated if it was conclusive for an earlier release.
    """
    name, utility, release = "guardrails defined", facts.contracts.utility, facts.release
    if not utility.guardrails:
        return ReadinessLine.not_met(name, "the policy has no guardrail: nothing bounds its harm", _UTILITY)
    metrics = list(dict.fromkeys(rail.metric for rail in utility.guardrails))
    said = ", ".join(metrics)
    reading = release.reading if release else None
    if release is None or reading is None:
        return ReadinessLine.met(name, said, _UTILITY)
    measured = {str(v.subject) for v in reading.of("decision") if v.outcome is not Outcome.METRIC_MISSING}
    evaluated = {*conclusive_decisions(reading.verdicts), *release.conclusive_before}
    problems = {
        f"could not be evaluated for {release.name}": [one for one in metrics if one not in measured],
        f"inconclusive of {release.name} and of every release before": [
            one for one in metrics if one in measured and one not in evaluated
        ],
    }
    if any(problems.values()):
        why = "; ".join(f"{', '.join(found)}: {problem}" for problem, found in problems.items() if found)
        return ReadinessLine.not_met(name, why, _UTILITY, reading.run)
    before = " or of a release before" if release.conclusive_before else ""
    why = f"{said}; each evaluated for {release.name}{before}"
    return ReadinessLine.met(name, why, _UTILITY, reading.runs.simulation)


def hard_constraints(facts: ReadinessFacts) -> ReadinessLine:
    """Check that forbidden items are filtered, not only penalised (R17, F5)."""
    name, contracts = "hard constraints are filters", facts.contracts
    filters = dict.fromkeys(one.name for one in contracts.utility.filters)
    if filters:
        why = f"{', '.join(filters)}: filters that drop what is unknown too"
        return ReadinessLine.met(name, why, _UTILITY)
    safety = [task for task, one in contracts.tasks.tasks.items() if one.family is Family.SAFETY]
    if safety:
        why = f"{', '.join(safety)} is only penalised or bounded: no hard constraint keeps anything out"
        return ReadinessLine.not_met(name, why, _UTILITY)
    why = "no task is of the safety family and the policy names nothing that may never be shown"
    return ReadinessLine.not_applicable(name, why, _UTILITY, "tasks.yaml")


def business_balanced(facts: ReadinessFacts) -> ReadinessLine:
    """Check that revenue has a relevance floor and a guardrail on a non-revenue outcome (R26, F8)."""
    name, contracts = "business balanced with user value", facts.contracts
    utility = contracts.utility
    terms = {name: one for name, one in utility.named_terms.items() if one.tasks or not one.costs}
    priced = [f"{name} x {one.value_column}" for name, one in terms.items() if one.value_column]
    if not priced:
        return ReadinessLine.not_applicable(name, "no term multiplies by a value column", _UTILITY)
    guards = list(dict.fromkeys(_guards_of_people(utility, contracts.tasks)))
    missing = ["a relevance floor"] * (not utility.relevance_floor)
    missing += ["a guardrail on an outcome that is no sale"] * (not guards)
    if missing:
        why = f"{', '.join(priced)} lacks {' and '.join(missing)}"
        return ReadinessLine.not_met(name, why, _UTILITY)
    floors = ", ".join(utility.relevance_floor)
    return ReadinessLine.met(
        name, f"{', '.join(priced)}, held by floors on {floors} and by {', '.join(guards)}", _UTILITY
    )


def _guards_of_people(utility: UtilitySpec, tasks: TasksSpec) -> Iterator[str]:
    for rail in utility.guardrails:
        subject = read_metric(rail.metric).subject
        if subject in tasks.tasks and tasks.tasks[subject].family not in _BUSINESS:
            yield rail.metric


def slate_reranker(facts: ReadinessFacts) -> ReadinessLine:
    """Check that slates follow rules of their own, and that the rules were replayed (R36, R37)."""
    name, contracts = "reranker for slates", facts.contracts
    rules = list(_slate_rules(contracts.slate))
    if not rules:
        why = f"slate.yaml has a length of {contracts.slate.length} and no rule: slates are the sorted list"
        return ReadinessLine.not_met(name, why, _SLATE)
    release = facts.release
    reading = release.reading if release else None
    counted = reading.simulation.slate_rules if reading and reading.simulation else ()
    if not counted:
        return ReadinessLine.met(name, ", ".join(rules), _SLATE)
    run = reading.runs.simulation if reading else ""
    met = ", ".join(f"{one.rule} in {one.slates - one.unmet:,} of {one.slates:,} slates" for one in counted)
    return ReadinessLine.met(name, f"met: {met}", _SLATE, run)


def _slate_rules(slate: SlateSpec) -> Iterator[str]:
    for kind in ("max_per", "max_where", "min_where_if_available"):
        limits: dict[str, int] = getattr(slate, kind)
        yield from (f"{kind} {column} {limit}" for column, limit in limits.items())
    if slate.required_first is not None:
        yield f"required_first {slate.required_first}"
    if slate.diversity is not None:
        yield f"diversity by {slate.diversity.by}"
    if slate.decay is not None:
        yield f"decay by {slate.decay.by}"
    if slate.exposure is not None and slate.exposure.least:
        yield f"exposure by {slate.exposure.by}"
    if slate.exploration is not None:
        yield f"exploration in {slate.exploration.slots} slots"


def changes_tracked(facts: ReadinessFacts) -> ReadinessLine:
    """Check that each promotion that changed tasks or policies names its experiment (R19, R34)."""
    name, audit = "policy changes tracked as experiments", facts.audit
    if audit.problem:
        return ReadinessLine.not_met(name, f"the audit cannot be believed: {audit.problem}", "audit")
    if not audit.policy_moves:
        newest = f"; {facts.release.name} is the newest" if facts.release else ""
        why = {
            0: f"nothing was promoted yet{newest}",
            1: "the one promotion changed no tasks or policies",
        }.get(audit.promotions, f"none of {audit.promotions} promotions changed tasks or policies")
        return ReadinessLine.not_applicable(name, why, "audit")
    waived = [move for move in audit.policy_moves if not move.experiment]
    if waived:
        excuses = [f"waived: {one.waiver}" if one.waiver else "unsupported" for one in waived]
        rows = [f"row {one.row}: {' and '.join(POLICIES[name] for name in one.changed)}" for one in waived]
        said = "; ".join(map(", ".join, zip(rows, excuses, strict=True)))
        why = f"{len(waived)} of {len(audit.policy_moves)} changes name no experiment ({said})"
        return ReadinessLine.not_met(name, why, "audit")
    said = ", ".join(f"{one.experiment} for release {one.release}" for one in audit.policy_moves)
    return ReadinessLine.met(name, said, "audit")


_NAMED = 6
"""Maximum number of segments that one item names; the dossier lists all."""


def predictions_calibrated(facts: ReadinessFacts) -> ReadinessLine:
    """Check that each weighted task has a calibrator and passes the calibration gate (R15)."""
    return _from_gates(facts, "predictions calibrated", _calibrated)


def segments_monitored(facts: ReadinessFacts) -> ReadinessLine:
    """Check that segments are declared, gated and evaluated (R21, R32, F6)."""
    name, surface = "segments monitored", facts.contracts.surface
    if not surface.segments:
        return ReadinessLine.not_met(name, "surface.yaml declares no segments", "surface.yaml")
    if not surface.gates.calibration.by:
        declared = ", ".join(segment.name for segment in surface.segments)
        why = f"no gate reads {declared}: name the segments under gates.calibration.by"
        return ReadinessLine.not_met(name, why, "surface.yaml")
    return _from_gates(facts, name, _segments)


def component_view(facts: ReadinessFacts) -> ReadinessLine:
    """Check that each term of the utility is shown with prediction, weight and contribution (R31)."""
    return _from_gates(facts, "component view", _components)


def _from_gates(
    facts: ReadinessFacts,
    name: str,
    read: Callable[[ReadinessFacts, ReadRelease, GateReading], ReadinessLine],
) -> ReadinessLine:
    """Evaluate an item on a release's verdicts, or report what is missing."""
    release = facts.release
    if release is None:
        return ReadinessLine.not_met(name, facts.without_release)
    if release.reading is None:
        return ReadinessLine.not_met(name, facts.without_gates(release))
    return read(facts, release, release.reading)


def _calibrated(facts: ReadinessFacts, release: ReadRelease, reading: GateReading) -> ReadinessLine:
    name = "predictions calibrated"
    tasks = [task for task in release.manifest.tasks if task in weighted_tasks(facts.contracts.utility)]
    bare = [task for task in tasks if release.manifest.find(Role.CALIBRATOR, task) is None]
    if bare:
        return ReadinessLine.not_met(name, f"no calibrator is pinned for {', '.join(bare)}", release.run)
    whole = {v.subject: v.outcome for v in reading.of("calibration") if v.segment == ALL}
    outcomes = {task: whole.get(Subject("calibration_ratio", task=task)) for task in tasks}
    wrong = [
        f"{task}: {spoken(outcome or 'not evaluated')}"
        for task, outcome in outcomes.items()
        if outcome != "pass"
    ]
    blocked = [v.of for v in reading.of("calibration", outcome=Outcome.BLOCK) if v.segment != ALL]
    if wrong or blocked:
        return ReadinessLine.not_met(name, list_names([*wrong, *blocked], _NAMED), release.run, reading.run)
    evaluated = [v for v in reading.of("calibration") if v.segment != ALL]
    off = f"none of {format_counted(len(evaluated), 'segment')} is shown to be off"
    why = f"{', '.join(tasks)} on the whole; {off if evaluated else 'no segment was evaluated'}"
    return ReadinessLine.met(name, why, release.run, reading.run)


def _segments(facts: ReadinessFacts, release: ReadRelease, reading: GateReading) -> ReadinessLine:
    name, gated = "segments monitored", facts.contracts.surface.gates.calibration.by
    of_segments = [v for v in reading.verdicts if v.segment != ALL]
    evaluated = [v for v in of_segments if v.outcome in CONCLUSIVE]
    columns = {verdict.segment.column for verdict in evaluated}
    if unseen := [column for column in gated if column not in columns]:
        looked = {verdict.segment.column for verdict in of_segments}
        inconclusive = "" if looked.isdisjoint(unseen) else ": every verdict on them is inconclusive"
        why = f"no segment of {', '.join(unseen)} was evaluated for {release.name}{inconclusive}"
        return ReadinessLine.not_met(name, why, "surface.yaml", reading.run)
    segments = {verdict.segment for verdict in evaluated}
    verdicts, values = format_counted(len(evaluated), "verdict"), format_counted(len(segments), "segment")
    why = f"{verdicts} on {values} of {', '.join(gated)}"
    harmed = sorted({str(v.segment) for v in evaluated if v.outcome is Outcome.BLOCK})
    alarm = f"; harmed: {list_names(harmed, _NAMED)}" if harmed else "; none is shown to be harmed"
    return ReadinessLine.met(name, f"{why}{alarm}", "surface.yaml", reading.run)


def _components(facts: ReadinessFacts, release: ReadRelease, reading: GateReading) -> ReadinessLine:
    name, simulation = "component view", reading.simulation
    if simulation is None or simulation.composition is None:
        why = f"the replay of {release.name} holds no composition of its utility: simulate it again"
        return ReadinessLine.not_met(name, why, reading.run)
    shown = {term.task: term for term in simulation.composition.terms}
    terms = [task for task, term in facts.contracts.utility.named_terms.items() if not term.is_zero]
    if missing := [task for task in terms if task not in shown]:
        why = f"the composition of {release.name} lacks {', '.join(missing)}"
        return ReadinessLine.not_met(name, why, reading.run)
    run = reading.runs.simulation
    said = ", ".join(f"{task} {shown[task].contribution:.3g}" for task in terms)
    total = simulation.composition.utility
    return ReadinessLine.met(name, f"a slot's utility of {total:.3g} is made of {said}", run)


LINES: Final[tuple[Callable[[ReadinessFacts], ReadinessLine], ...]] = (
    tasks_explicit,
    windows_defined,
    maturity_handled,
    masks,
    loss_weights_versioned,
    utility_weights_separate,
    predictions_calibrated,
    composition_versioned,
    guardrails_defined,
    hard_constraints,
    segments_monitored,
    delayed_outcomes,
    negatives_handled,
    business_balanced,
    slate_reranker,
    component_view,
    changes_tracked,
)


def readiness_lines(facts: ReadinessFacts) -> tuple[ReadinessLine, ...]:
    """Return every item of the checklist in order."""
    return tuple(line(facts) for line in LINES)
