"""Checks across the four files: unknown names, cycles, signs, roles, bounds."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from tasks import columns as c
from tasks.contracts.base import find_repeated
from tasks.contracts.crosscheck_utility import find_repeated_values
from tasks.contracts.durations import LONGEST, describe_duration
from tasks.contracts.metrics import OF_EXPOSURE, OF_RATES, MetricKind, parse_metric, read_metric
from tasks.contracts.problems import Problem, Unread, abbreviate
from tasks.contracts.slate import SlateSpec
from tasks.contracts.surface import (
    ALARMED,
    NEEDS_SPARK,
    ExaminationSpec,
    SparkTable,
    SurfaceSpec,
    parse_source,
)
from tasks.contracts.tasks import NEVER_TRAINED, Family, Positive, TaskSpec, TasksSpec, ValueRule
from tasks.contracts.utility import UtilitySpec
from tasks.errors import unknown

_NOT_KNOWN_WHEN_SERVING = {
    c.POSITION, c.PROPENSITY, c.DRAWABLE, c.VISIBLE, c.SHOWN, c.RELEASE, c.SERVED_UTILITY,
    c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT, c.EXPERIMENT, c.ARM, c.TRIGGERED,
}  # fmt: skip
_OURS: Final = (
    c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT, c.POSITION, c.SOURCE, c.PROPENSITY, c.VISIBLE, c.RELEASE,
    c.DRAWABLE, c.LATENCY_MS, c.SHOWN, c.SERVED_UTILITY, c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT,
    c.EXPERIMENT, c.ARM, c.TRIGGERED,
)  # fmt: skip
"""Columns of a log with a fixed meaning."""
_LABEL_COLUMNS: Final = {c.DAY, c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT, c.POSITION}
"""Columns of the label table that are not labels."""
_NO_DEADLINES: Final = {c.DAY, c.SHOWN_AT, c.HAPPENED_AT, c.INGESTED_AT}
_NEARLY: Final = 0.88
"""Similarity to a reserved name from which a column name counts as a typo; 1 is equal."""
_DEEPEST: Final = 50
"""Maximum number of tasks in a chain of parents."""


def find_warnings(surface: SurfaceSpec, tasks: TasksSpec, utility: UtilitySpec) -> Iterator[Problem]:
    """Find settings that are allowed but rarely intended."""
    yield from _warn_of_one_person(surface, utility)
    yield from _warn_of_unjudgeable(surface, tasks, utility)
    for name, task in tasks.tasks.items():
        if task.loss_weight != 1.0 and surface.trunk_of(name) is None:
            hint = (
                "on separate trees a loss weight only rescales the regularisation; what acts is under "
                "training in surface.yaml: weights (balanced, half_life, propensity, column) and start_from"
            )
            yield Problem("tasks.yaml", f"tasks.{name}.loss_weight", str(task.loss_weight), hint)
        yield from _warn_of_opener(name, task, tasks)
    for i, rail in enumerate(utility.guardrails):
        for bound in ("relative_increase_max", "relative_decrease_max"):
            if getattr(rail, bound) == 0:
                hint = "a bound of zero: an equal candidate passes it about 1 time in 20, at any sample size"
                yield Problem("utility.yaml", f"guardrails.{i}.{bound}", "0", hint)
    yield from find_repeated_values(utility, tasks)


def _warn_of_one_person(surface: SurfaceSpec, utility: UtilitySpec) -> Iterator[Problem]:
    """Warn if the same people hold every approving role although there are several roles."""
    roles = dict.fromkeys((*utility.approvals, *([surface.override.role] if surface.override else [])))
    held = [{*surface.reviewers.get(role, ())} for role in roles]
    for person in sorted(set.intersection(*held)) if len(held) > 1 else ():
        hint = f"holds every role ({', '.join(roles)}): one person could approve alone"
        yield Problem("surface.yaml", "reviewers", person, hint)


def _warn_of_unjudgeable(surface: SurfaceSpec, tasks: TasksSpec, utility: UtilitySpec) -> Iterator[Problem]:
    """Warn of guardrails that are inconclusive with any log."""
    complete = surface.sources.candidates is not None or surface.shown_is_all
    for i, rail in enumerate(utility.guardrails):
        metric = read_metric(rail.metric)
        task = tasks.tasks.get(metric.subject or "")
        hint = ""
        if metric.kind in OF_EXPOSURE and not complete:
            hint = (
                "is never evaluated: only what was shown is logged. Name sources.candidates or shown_is_all"
            )
        elif metric.kind in OF_RATES and task is not None and task.level == "request":
            hint = "is never evaluated: no ranking of a request moves an outcome of the whole request"
        if hint:
            yield Problem("utility.yaml", f"guardrails.{i}.metric", rail.metric, hint)


def _warn_of_opener(name: str, task: TaskSpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Warn if the event that opens a window is also the outcome, unless the task asks for a repeat."""
    rule, opener = task.rule, tasks.window_opener(name)
    parent = tasks.tasks[opener].rule if opener else None
    if rule is None or parent is None or task.family is Family.LONG_TERM:
        return
    if both := sorted(set(rule.event) & set(parent.event)):
        hint = (
            f"the event of '{opener}' opens this window, and a later one of the same name is the outcome: a "
            "repeat. Is another event meant? If a repeat is intended, set family: long_term"
        )
        field = "positive" if task.positive else "value"
        yield Problem("tasks.yaml", f"tasks.{name}.{field}.event", ", ".join(both), hint)


def find_reference_problems(tasks: TasksSpec, unread: Unread) -> Iterator[tuple[set[str], Problem]]:
    """Find tasks that refer to unknown tasks or depend on themselves: each problem with its tasks."""
    for name, task in tasks.tasks.items():
        for field, other in _references(task):
            where = f"tasks.{name}.{field}"
            target = tasks.tasks.get(other)
            hint = ""
            if target is None:
                hint = unknown("task", other, tasks.tasks)
            elif target.kind == "value" and not unread.task(other):
                hint = "a value task is neither a parent nor a part"
            elif field.endswith("after") and target.compose and not unread.task(other):
                hint = "a composite has no crediting event"
            if hint:
                yield {name}, Problem("tasks.yaml", where, abbreviate(other), hint)
    yield from _find_cycles(tasks)


def _references(task: TaskSpec) -> Iterator[tuple[str, str]]:
    if task.rule and task.rule.after:
        yield ("positive.after" if task.positive else "value.after"), task.rule.after
    if task.observed_when and task.observed_when.task:
        yield "observed_when.task", task.observed_when.task
    for part in task.compose.parts if task.compose else ():
        yield "compose", part


def _find_cycles(tasks: TasksSpec) -> Iterator[tuple[set[str], Problem]]:
    edges = {n: [o for _, o in _references(t) if o in tasks.tasks] for n, t in tasks.tasks.items()}
    safe: set[str] = set()
    for _ in range(_DEEPEST):
        safe |= {n for n in edges if n not in safe and set(edges[n]) <= safe}
    rest = sorted(set(edges) - safe)
    if rest and any(n not in safe and set(edges[n]) <= safe for n in edges):
        hint = f"hang on a chain of more than {_DEEPEST} tasks"
        yield {*rest}, Problem("tasks.yaml", "tasks", abbreviate(", ".join(rest)), hint)
    elif rest:
        hint = "depend on themselves, directly or in a circle"
        yield {*rest}, Problem("tasks.yaml", "tasks", ", ".join(rest), hint)


def find_meaning_problems(tasks: TasksSpec, unread: Unread) -> Iterator[Problem]:
    """Find tasks whose label would have no meaning, and files in which no task is trained."""
    if not tasks.trained:
        hint = "have train: false, so a release would predict nothing: leave it out of one that is predicted"
        yield Problem("tasks.yaml", "tasks", abbreviate(", ".join(tasks.tasks)), hint)
    for name, task in tasks.tasks.items():
        if unread.task(name):
            continue
        yield from _check_events(f"tasks.{name}", task)
        where = f"tasks.{name}"
        yield from _check_name(name, tasks)
        if task.maturity and task.maturity < tasks.window(name):
            window, maturity = describe_duration(tasks.window(name)), describe_duration(task.maturity)
            hint = f"is shorter than the window ({window}); an early negative would be a lie"
            yield Problem("tasks.yaml", f"{where}.maturity", maturity, hint)
        if task.rule and task.rule.until in _NO_DEADLINES:
            hint = "is no deadline of the impression: name another column of times, or leave until out"
            yield Problem("tasks.yaml", f"{where}.until", str(task.rule.until), hint)
        if tasks.window(name) > LONGEST:
            hint = f"the windows along its chain add up to more than {describe_duration(LONGEST)}"
            yield Problem("tasks.yaml", where, describe_duration(tasks.window(name)), hint)
        if task.level == "request":
            yield from _check_request_level(tasks, name, unread)
        if task.level == "impression" and task.rule and _is_same_within_request(task.rule):
            hint = (
                "gives every candidate of a request the same label, so no ranking can move it: match on "
                f"{c.ITEM_ID} too, or set level: request"
            )
            yield Problem("tasks.yaml", f"{where}.match", abbreviate(list(task.rule.match)), hint)


def _check_name(name: str, tasks: TasksSpec) -> Iterator[Problem]:
    """Find task names that no label column can have; most engines ignore case."""
    hint = ""
    if "__" in name:
        hint = "two underscores in a row are kept for label columns"
    elif name.lower() in _LABEL_COLUMNS:
        hint = f"is a column of the label table. Rename the task, for example {name}_1d"
    elif others := [one for one in tasks.tasks if one != name and one.lower() == name.lower()]:
        hint = f"differs only by case from {', '.join(others)}. Rename one of them"
    if hint:
        yield Problem("tasks.yaml", f"tasks.{name}", abbreviate(name), hint)


def _check_request_level(tasks: TasksSpec, name: str, unread: Unread) -> Iterator[Problem]:
    """Refuse a request-level task whose label differs between the candidates of a request."""
    where, rule = f"tasks.{name}", tasks.tasks[name].rule
    same = "a request-level label is the same for every candidate, so it cannot"
    if rule and c.ITEM_ID in rule.match:
        hint = f"{same} match on item_id"
        yield Problem("tasks.yaml", f"{where}.match", abbreviate(list(rule.match)), hint)
    if rule and rule.credit != "every":
        hint = f"{same} be credited to one of them: leave credit out"
        yield Problem("tasks.yaml", f"{where}.credit", rule.credit, hint)
    if rule and rule.until:
        hint = f"{same} end at a time of each of them: leave until out"
        yield Problem("tasks.yaml", f"{where}.until", rule.until, hint)
    for other in (*tasks.parts(name), *filter(None, [tasks.window_opener(name)])):
        if tasks.tasks[other].level != "request" and not unread.task(other):
            hint = f"{same} be made of a label of each of them"
            yield Problem("tasks.yaml", where, other, hint)


def _is_same_within_request(rule: Positive | ValueRule) -> bool:
    """Whether an event gives all impressions of a request the same label."""
    return rule.credit == "every" and rule.after is None and set(rule.match) <= {c.USER_ID, c.REQUEST_ID}


def _check_events(where: str, task: TaskSpec) -> Iterator[Problem]:
    """Refuse event settings under which every label of a task is the same."""
    rule, when = task.rule, task.observed_when
    if rule is None:
        return
    own = set(rule.event)
    for i, exclusion in enumerate(task.exclude):
        if (both := own & set(exclusion.event)) and not exclusion.before_positive:
            hint = "is the task's own event, so this takes every positive out"
            yield Problem("tasks.yaml", f"{where}.exclude.{i}.event", abbreviate(sorted(both)), hint)
    answers = set(when.event or ()) if when else set()
    positive = task.positive
    if positive and answers and answers <= own and positive.at_least == 1 and not positive.bounds_values:
        hint = "is the task's own event, so every observed label is 1: give value_at_least or another event"
        yield Problem("tasks.yaml", f"{where}.observed_when.event", abbreviate(sorted(answers)), hint)


def find_surface_problems(folder: str, surface: SurfaceSpec, unread: Unread) -> Iterator[Problem]:
    """Find problems within surface.yaml."""
    if surface.surface != folder and not unread.touches("surface", "surface"):
        yield Problem(
            "surface.yaml", "surface", abbreviate(surface.surface), f"must be the folder's name, '{folder}'"
        )
    engine = None if unread.touches("surface", "engine") else surface.engine.name
    for table, source in surface.sources.model_dump(exclude_none=True).items():
        yield from _check_source(f"sources.{table}", source, engine)
    for name in surface.features.names:
        if name in _NOT_KNOWN_WHEN_SERVING or name.startswith("served_"):
            hint = "is not a feature: it is a key, or known only after ranking"
            yield Problem("surface.yaml", "features", abbreviate(name), hint)
    names = [s.name for s in surface.segments]
    if twice := find_repeated(names):
        yield Problem("surface.yaml", "segments", ", ".join(twice), "named twice")
    strange = set(surface.gates.calibration.by) - set(names)
    for by in sorted(strange) if not unread.segments else ():
        yield Problem("surface.yaml", "gates.calibration.by", abbreviate(by), unknown("segment", by, names))
    if not unread.segments and not any(unread.touches("surface", one) for one in ("features", "values")):
        yield from _check_renamed(surface)
    yield from _check_pairs(surface, unread)


def _check_pairs(surface: SurfaceSpec, unread: Unread) -> Iterator[Problem]:
    """Find sections of a surface that contradict each other."""

    def read(*sections: str) -> bool:
        return not any(unread.touches("surface", section) for section in sections)

    role = surface.override.role if surface.override is not None else None
    if role is not None and role not in surface.reviewers and read("reviewers"):
        hint = "has no reviewers: name them under `reviewers`"
        yield Problem("surface.yaml", "override.role", abbreviate(role), hint)
    if surface.shown_is_all and surface.sources.candidates is not None and read("sources"):
        hint = (
            "declares the impressions to be all candidates, and sources.candidates names others: leave one "
            "out"
        )
        yield Problem("surface.yaml", "shown_is_all", "true", hint)
    only = surface.gates.decision.shown_only
    if only == "canary" and surface.ramp is None and read("gates", "ramp"):
        hint = "needs a ramp: declare `ramp: {guardrails: [hide_7d_rate]}`"
        yield Problem("surface.yaml", "gates.decision.shown_only", only, hint)
    if surface.minimum.train > surface.split.train and read("minimum", "split"):
        hint = f"is longer than split.train ({surface.split.train})"
        yield Problem("surface.yaml", "minimum.train", str(surface.minimum.train), hint)
    curve = surface.examination.by_position if isinstance(surface.examination, ExaminationSpec) else None
    if curve is not None and surface.reference_position > len(curve) and read("examination"):
        hint = "lies beyond the examination curve"
        yield Problem("surface.yaml", "reference_position", str(surface.reference_position), hint)


def _check_renamed(surface: SurfaceSpec) -> Iterator[Problem]:
    """Find renamed columns with a typo: an optional column would silently count as not logged."""
    own = {*surface.features.names, *surface.values, *(segment.column for segment in surface.segments)}
    for name, name_in_log in surface.columns.items():
        if name in own or name in _OURS:
            continue
        if close := get_close_matches(name, _OURS, n=1, cutoff=_NEARLY):
            hint = f"renames '{name_in_log}' to what no contract names. Did you mean '{close[0]}'?"
            yield Problem("surface.yaml", f"columns.{name}", abbreviate(name_in_log), hint)


def _check_source(where: str, source: str, engine: str | None) -> Iterator[Problem]:
    """Check a source; ``engine`` is None if it could not be read."""
    try:
        parsed = parse_source(source)
    except ValueError as error:
        yield Problem("surface.yaml", where, "", str(error))
        return
    if isinstance(parsed, SparkTable) and engine not in {"spark", None}:
        yield Problem("surface.yaml", where, abbreviate(source), NEEDS_SPARK)
    if isinstance(parsed, str) and (
        source.startswith(("/", "~", "\\")) or ".." in source.replace("\\", "/").split("/")
    ):
        hint = "must stay inside the logs folder: a relative path without '..'"
        yield Problem("surface.yaml", where, abbreviate(source), hint)


def find_surface_task_problems(surface: SurfaceSpec, tasks: TasksSpec, unread: Unread) -> Iterator[Problem]:
    """Find references of a surface to unknown tasks and to label columns."""
    for field, names in {
        "lightgbm": set(surface.lightgbm) - {"default"},
        "base_rates": set(surface.base_rates),
        "gates.freshness.parts": set(surface.gates.freshness.parts),
        "gates.model.refit_shift_max_by_task": set(surface.gates.model.refit_shift_max_by_task),
    }.items():
        known = tasks.tasks if field == "base_rates" else tasks.trained
        for name in sorted(names - set(known)):
            listed = [*known, *(["default"] if field == "lightgbm" else [])]
            hint = NEVER_TRAINED if name in tasks.tasks else unknown("task", name, listed)
            yield Problem("surface.yaml", f"{field}.{name}", "", hint)
    for i, name in enumerate(surface.monitor.critical):
        if name not in {*(watched := (*tasks.tasks, *ALARMED))}:
            hint = unknown("task or metric of the monitor", name, watched)
            yield Problem("surface.yaml", f"monitor.critical.{i}", abbreviate(name), hint)
    for name, (low, high) in surface.base_rates.items():
        binary = name in tasks.tasks and tasks.tasks[name].kind == "binary" and not unread.task(name)
        if low > high or (binary and not 0 <= low <= high <= 1):
            hint = "is not a range of rates: low, then high" + (", between 0 and 1" if binary else "")
            yield Problem("surface.yaml", f"base_rates.{name}", abbreviate([low, high]), hint)
    for i, name in enumerate(surface.ramp.guardrails if surface.ramp is not None else ()):
        metric = parse_metric(name, tasks=tasks.tasks, columns=())
        subject = metric.subject if metric is not None and metric.kind is MetricKind.RATE else None
        task = tasks.tasks.get(subject or "")
        if task is None or (task.kind != "binary" and not unread.task(subject or "")):
            rates = [f"{one}_rate" for one, spec in tasks.tasks.items() if spec.kind == "binary"]
            yield Problem(
                "surface.yaml", f"ramp.guardrails.{i}", abbreviate(name), unknown("rate", name, rates)
            )
    taken = {d for n in tasks.tasks for d in (n, c.status(n), c.at(n))}
    for name in sorted(
        taken & {*surface.features.names, *surface.values, *(s.column for s in surface.segments)}
    ):
        yield Problem(
            "surface.yaml", "features", abbreviate(name), "is the name of a label: a label is no input"
        )


def find_slate_problems(slate: SlateSpec, utility: UtilitySpec | None, unread: Unread) -> Iterator[Problem]:
    """Find minimums and exploration slots that do not fit a slate, and a decay without an offset."""
    counted = ("length", "exploration", "min_where_if_available", "max_where")
    whole = not any(unread.touches("slate", name) for name in counted)
    if whole:
        yield from _check_minimums(slate, "slate.yaml", "")
    if utility is None:
        return
    if slate.decay is not None and utility.offset is None and not unread.touches("utility", "offset"):
        hint = "needs an offset in utility.yaml: a negative utility would rise by a share below 1"
        yield Problem("slate.yaml", "decay", abbreviate(slate.decay.by), hint)
    for i, context in enumerate(utility.contexts):
        if context.slate is not None and whole and not unread.touches("utility", "contexts", i, "slate"):
            changed = slate.model_copy(update=context.slate.model_dump(exclude_none=True))
            yield from _check_minimums(changed, "utility.yaml", f"contexts.{i}.slate.")


def _check_minimums(slate: SlateSpec, file: str, field: str) -> Iterator[Problem]:
    least = sum(slate.min_where_if_available.values())
    if least > slate.length:
        hint = f"asks for {least} of {slate.length} slots"
        found = abbreviate(slate.min_where_if_available)
        yield Problem(file, f"{field}min_where_if_available", found, hint)
    explored = slate.exploration.slots if slate.exploration is not None else 0
    where = f"{field}length" if field else "exploration.slots"
    if explored >= slate.length:
        hint = f"exploration draws {explored} of {slate.length} slots; leave at least one to utility"
        yield Problem(file, where, str(explored), hint)
    elif explored and least <= slate.length < least + explored:
        hint = f"minimums ask for {least} and exploration for {explored} of {slate.length} slots"
        yield Problem(file, where, str(explored), hint)
    for column in sorted(set(slate.min_where_if_available) & set(slate.max_where)):
        if slate.min_where_if_available[column] > slate.max_where[column]:
            hint = "its minimum is above its maximum"
            yield Problem(file, f"{field}max_where.{column}", str(slate.max_where[column]), hint)
