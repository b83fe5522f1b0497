"""Readiness of what is learned: outcomes, windows, maturity, masks, loss weights and negative outcomes.

Each function reads one line of the list from contracts, a release's manifest or its validated labels.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta

from tasks.contracts import Contracts
from tasks.contracts.durations import describe_duration
from tasks.contracts.metrics import read_metric
from tasks.promotion.gates.references import weighted_tasks
from tasks.promotion.readiness.facts import ReadinessFacts, ReadinessLine, StandingRelease
from tasks.reports.numbers import format_counted
from tasks.stores.manifest import PinnedPart, Role

_MASKED = "expect_label_value_only_when_observed"
_EARLY = "expect_no_label_observed_before_maturity"
_CONDITIONAL = "expect_conditional_label_only_where_parent_positive"
TASKS_FILE = "tasks.yaml"


def tasks_explicit(standing: ReadinessFacts) -> ReadinessLine:
    """Whether each outcome is a task of its own, and the release predicts just those (R1, R3)."""
    name, spec, release = "tasks explicit", standing.contracts.tasks, standing.release
    weighted = weighted_tasks(standing.contracts.utility)
    if len(weighted) == 1 and (parts := spec.parts(only := next(iter(weighted)))):
        mixed = f"the order rests on '{only}' alone, which mixes {_listed(parts)} into one label"
        return ReadinessLine.not_met(name, f"{mixed}: weigh its parts", "utility.yaml", TASKS_FILE)
    if release is not None:
        heads = {*release.manifest.tasks}
        missing = [task for task in spec.trained if task not in heads]
        unknown = sorted(heads - {*spec.trained})
        if missing or unknown:
            said = [f"no head for {_listed(missing)}"] * bool(missing)
            said += [f"a head for {_listed(unknown)}, which no contract trains"] * bool(unknown)
            return ReadinessLine.not_met(name, f"{release.name} has {' and '.join(said)}", TASKS_FILE)
    families = len({task.family for task in spec.tasks.values()})
    of = f"{format_counted(len(spec.tasks), 'task')} of {format_counted(families, 'family', 'families')}"
    what = f"{of}, each with an outcome of its own"
    heads_of = f"; {release.name} has a head for each" if release else ""
    if spec.measured:
        heads_of += f"{' that is trained' * bool(release)}; measured, never trained: {_listed(spec.measured)}"
    return ReadinessLine.met(name, f"{what}{heads_of}", TASKS_FILE)


def windows_defined(standing: ReadinessFacts) -> ReadinessLine:
    """Whether each outcome has a window, and labels were built with those in force (R5)."""
    name, contracts, release = "windows defined", standing.contracts, standing.release
    spec = contracts.tasks
    said = _listed([f"{task} {describe_duration(spec.window(task))}" for task in spec.tasks])
    if release is not None and release.manifest.snapshot.contract_digest != contracts.digests["tasks"]:
        built = (
            f"the labels of {release.name} (snapshot {release.manifest.snapshot.id}) were built by another"
        )
        return ReadinessLine.not_met(name, f"{built} tasks.yaml than is in force: retrain", TASKS_FILE)
    return ReadinessLine.met(name, said, TASKS_FILE)


def maturity_handled(standing: ReadinessFacts) -> ReadinessLine:
    """Whether every part learned only from days whose outcomes were known at the as-of (R7, R8)."""
    name, release = "maturity handled", standing.release
    if release is None:
        return ReadinessLine.not_met(name, standing.without_release, TASKS_FILE)
    early = list(_learned_early(standing.contracts, release))
    if early:
        return ReadinessLine.not_met(name, f"learned before they were mature: {_listed(early)}", release.run)
    slowest = _slowest(standing.contracts)
    corrected = [task for task in standing.contracts.tasks.trained if standing.contracts.delayed(task)]
    apart = f"; {_listed(corrected)} learn from open windows, corrected for their delay" if corrected else ""
    why = f"every part of {release.name} learned from mature days alone, the slowest being {slowest}{apart}"
    return ReadinessLine.met(name, why, TASKS_FILE, release.run)


def masks(standing: ReadinessFacts) -> ReadinessLine:
    """Whether labels that nobody knows have no value, where the release learned and was tested (R9)."""
    return _validated(standing, "masks", (_MASKED, _CONDITIONAL), "a value only where a label is observed")


def delayed_outcomes(standing: ReadinessFacts) -> ReadinessLine:
    """Whether no row counts as a negative before its outcome could be known (R7, F7)."""
    what = f"no label before its maturity ({_slowest(standing.contracts)} the slowest)"
    return _validated(standing, "delayed outcomes no negatives", (_EARLY,), what)


def loss_weights_versioned(standing: ReadinessFacts) -> ReadinessLine:
    """Whether the release pins the loss weights in force (R12, R13)."""
    name, contracts, release = "loss weights versioned", standing.contracts, standing.release
    version = f"tasks.yaml version {contracts.tasks.version}"
    if release is None:
        return ReadinessLine.not_met(name, f"nothing pins {version}: {standing.without_release}", TASKS_FILE)
    if release.manifest.contracts.get("tasks") != contracts.digests["tasks"]:
        other = f"{release.name} pins another tasks.yaml than is in force ({version}): retrain"
        return ReadinessLine.not_met(name, other, TASKS_FILE, release.run)
    weights = {task: contracts.tasks.tasks[task].loss_weight for task in contracts.tasks.trained}
    apart = [f"{task} {weight:g}" for task, weight in weights.items() if weight != 1.0]
    said = _listed(apart) if apart else "1 for every task"
    digest = contracts.digests["tasks"][:12]
    return ReadinessLine.met(
        name, f"{said}; {release.name} pins {version}, {digest}", TASKS_FILE, release.run
    )


def negatives_handled(standing: ReadinessFacts) -> ReadinessLine:
    """Whether what people suffer from is predicted, and costs or is bounded (R4, R24, F9)."""
    name, contracts = "negatives handled", standing.contracts
    costs = [task for task in contracts.tasks.tasks if task in contracts.tasks.costs]
    if not costs:
        none = "no negative or safety task: nothing says what people suffer from"
        return ReadinessLine.not_met(name, none, TASKS_FILE)
    weighted = weighted_tasks(contracts.utility)
    bounded = {read_metric(rail.metric).subject for rail in contracts.utility.guardrails}
    loose = [task for task in costs if task not in weighted and task not in bounded]
    if loose:
        why = f"{_listed(loose)} neither cost in the utility nor are bounded by a guardrail"
        return ReadinessLine.not_met(name, why, TASKS_FILE, "utility.yaml")
    said = [f"{task} ({_handled(task, weighted, bounded)})" for task in costs]
    return ReadinessLine.met(name, _listed(said), TASKS_FILE, "utility.yaml")


def _handled(task: str, weighted: Collection[str], bounded: Collection[str | None]) -> str:
    ways = [way for way, tasks in (("costs", weighted), ("guarded", bounded)) if task in tasks]
    return " and ".join(ways)


def _validated(
    standing: ReadinessFacts, name: str, expectations: tuple[str, ...], what: str
) -> ReadinessLine:
    """Read from the validation of the release's labels whether expectations hold for every task."""
    release = standing.release
    if release is None:
        return ReadinessLine.not_met(name, f"no labels were validated: {standing.without_release}")
    judgement = release.judgement
    if judgement is None:
        return ReadinessLine.not_met(name, standing.without_judgement(release))
    run, findings = judgement.runs.validation, [judgement.findings(one) for one in expectations]
    if absent := [one for one, found in zip(expectations, findings, strict=True) if not found]:
        return ReadinessLine.not_met(name, f"the validation of its labels holds no {_listed(absent)}", run)
    failed = [f for found in findings for f in found if not f.success]
    if failed:
        said = _listed([f"{one.subject}: {one.observed}" for one in failed])
        return ReadinessLine.not_met(name, f"{failed[0].expectation} failed: {said}", run)
    seen = findings[0][0]
    return ReadinessLine.met(name, f"{what}: {seen.observed} break it ({seen.subject})", run)


def _learned_early(contracts: Contracts, release: StandingRelease) -> Iterator[str]:
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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
