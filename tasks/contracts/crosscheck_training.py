"""Checks the ``training``, ``trunks`` and ``models`` sections of a surface against its tasks and columns.

A task's own setting is refused if it has no effect. The same setting under ``default`` applies only to the
tasks on which it has an effect.

``models.default`` applies to the tasks that are in a trunk. A task with its own entry must be in a trunk.
"""

from collections.abc import Iterable, Iterator, Sequence

from tasks import columns as c
from tasks.contracts.metrics import MetricKind, parse_metric
from tasks.contracts.problems import Problem, Unread, abbreviate
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import NEVER_TRAINED, TaskSpec, TasksSpec
from tasks.contracts.training import TaskTraining, Trunk, head_kind
from tasks.contracts.utility import PolicyContext, UtilitySpec
from tasks.errors import unknown

_OF_PREDICTIONS = (MetricKind.PREDICTED, MetricKind.CALIBRATION)
_OF_METRICS = ("guardrails", "constrained")
_OBJECTIVES = {"binary": ("binary", "lambdarank"), "value": ("l2", "tweedie", "quantile")}


def find_training_problems(
    surface: SurfaceSpec, tasks: TasksSpec, utility: UtilitySpec | None, unread: Unread
) -> Iterator[Problem]:
    """Find training settings that cannot be learned, and heads whose predictions a utility cannot add up."""
    for name in sorted(set(surface.training) - {"default", *tasks.trained}):
        known = [*tasks.trained, "default"]
        hint = NEVER_TRAINED if name in tasks.tasks else unknown("task", name, known)
        yield Problem("surface.yaml", f"training.{name}", "", hint)
    if not unread.touches("surface", "features"):
        yield from _check_monotone(surface)
    sound = [name for name in tasks.tasks if not _is_unread(name, surface, unread)]
    for name in (one for one in sound if tasks.tasks[one].train):
        yield from _check_parent(name, surface, tasks)
        yield from _check_task(name, tasks.tasks[name], surface, tasks)
        yield from _find_debiasing_problems(name, surface, tasks, unread)
    for i, proxy in enumerate(surface.proxies):
        for side in ("fast", "slow"):
            if (name := getattr(proxy, side)) not in tasks.trained:
                hint = NEVER_TRAINED if name in tasks.tasks else unknown("task", name, tasks.trained)
                yield Problem("surface.yaml", f"proxies.{i}.{side}", abbreviate(name), hint)
    if utility is not None:
        yield from _check_utility(surface, tasks, utility, sound)


def _check_monotone(surface: SurfaceSpec) -> Iterator[Problem]:
    for name, training in surface.training.items():
        for feature in sorted(set(training.monotone or {}) - set(surface.features.numeric)):
            hint = unknown("numeric feature", feature, surface.features.numeric)
            yield Problem("surface.yaml", f"training.{name}.monotone.{feature}", "", hint)


def _is_unread(name: str, surface: SurfaceSpec, unread: Unread) -> bool:
    """Whether a task, its ``start_from`` task or the training settings of either could not be read."""
    start = surface.training_for(name).start_from
    return any(
        unread.task(task) or unread.touches("surface", "training", section)
        for task in {name, start.task if start else name}
        for section in (task, "default")
    )


def _check_task(name: str, task: TaskSpec, surface: SurfaceSpec, tasks: TasksSpec) -> Iterator[Problem]:
    training, where = surface.training_for(name), f"training.{name}"
    yield from _check_objective(name, task, training, tasks)
    yield from _check_log_odds(name, task, surface)
    yield from _check_start(name, training, surface, tasks)
    if training.space is not None and tasks.window_opener(name) is None and _declares(surface, name, "space"):
        hint = "has no parent (after:), so there is one space to learn it in"
        yield Problem("surface.yaml", f"{where}.space", training.space, hint)
    yield from _check_bounds(name, training, surface, tasks)
    yield from _check_engine(name, training, surface)


def _check_parent(name: str, surface: SurfaceSpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Refuse a conditional probability for a task without a parent."""
    above = {*tasks.needs(name)} - {*tasks.parts(name)} - {*tasks.trained}
    if surface.training_for(name).space == "entire":
        return
    for parent in sorted(above):
        hint = (
            f"its probability is multiplied by that of '{parent}', which {NEVER_TRAINED}: train '{parent}', "
            f"learn the joint event (training.{name}.space: entire), or set train: false here too"
        )
        yield Problem("tasks.yaml", f"tasks.{name}", abbreviate(parent), hint)


def _check_bounds(
    name: str, training: TaskTraining, surface: SurfaceSpec, tasks: TasksSpec
) -> Iterator[Problem]:
    """Refuse monotone bounds that the head's leaves would not respect."""
    kind, start = head_kind(tasks.tasks[name].kind, training.objective), training.start_from
    if not training.monotone:
        return
    if kind == "quantile" and _declares(surface, name, "monotone"):
        hint = "a quantile head's leaves are set after its trees are grown, whatever the bounds: leave it out"
        yield Problem("surface.yaml", f"training.{name}.monotone", "", hint)
    if kind == "binary" and start is not None and start.task != name:
        hint = (
            f"what start_from brings of '{start.task}' keeps no bounds: choose one, `monotone: {{}}` is none"
        )
        yield Problem("surface.yaml", f"training.{name}.monotone", "", hint)


def _check_engine(name: str, training: TaskTraining, surface: SurfaceSpec) -> Iterator[Problem]:
    """Refuse settings that a Dask cluster trains differently from one machine."""
    where, start = f"training.{name}", training.start_from
    if training.engine != "dask":
        if _declares(surface, name, "scheduler"):
            hint = "is the address of a Dask cluster: set `engine: dask` too, or leave it out"
            yield Problem("surface.yaml", f"{where}.scheduler", str(training.scheduler), hint)
        return
    if training.scheduler is None:
        hint = "needs the address of the cluster's scheduler, as scheduler: tcp://scheduler:8786"
        yield Problem("surface.yaml", f"{where}.engine", "dask", hint)
    unsupported = {
        f"objective: {training.objective}": training.objective in ("quantile", "lambdarank"),
        "start_from": start is not None and start.task != name,
        "search": training.search is not None,
    }
    for setting in (setting for setting, asked in unsupported.items() if asked):
        hint = f"does not support `{setting}`: leave that out, or set `engine: local` for this task"
        yield Problem("surface.yaml", f"{where}.engine", "dask", hint)


def _check_objective(
    name: str, task: TaskSpec, training: TaskTraining, tasks: TasksSpec
) -> Iterator[Problem]:
    where, objective = f"training.{name}.objective", training.objective
    if objective is None:
        return
    allowed = _OBJECTIVES[task.kind]
    if objective not in allowed:
        hint = f"a task of kind {task.kind} is learned by {' or '.join(allowed)}"
        yield Problem("surface.yaml", where, objective, hint)
    elif head_kind(task.kind, objective) == "ranking":
        yield from (
            Problem("surface.yaml", where, objective, hint) for hint in _explain_no_order(name, task, tasks)
        )


def _explain_no_order(name: str, task: TaskSpec, tasks: TasksSpec) -> Iterator[str]:
    """Explain why a task cannot be ranked within requests."""
    if task.sampling is not None:
        yield "compares the items of a request, so none is left out: take the task's sampling away"
    if task.level == "request":
        yield "orders the items of a request, and a request-level outcome is the same for all of them"
    for child in tasks.tasks:
        if name in tasks.needs(child) and name not in tasks.parts(child):
            yield f"is the parent of '{child}', whose joint probability is a product of probabilities"


def _check_log_odds(name: str, task: TaskSpec, surface: SurfaceSpec) -> Iterator[Problem]:
    """Refuse corrections of log odds for other heads; a value under ``default`` does not apply to them."""
    own = surface.training.get(name)
    if own is None or head_kind(task.kind, surface.training_for(name).objective) == "binary":
        return
    corrections = {
        "start_from": own.start_from is not None,
        "weights.balanced": own.weights is not None and own.weights.balanced,
    }
    for field in (field for field, present in corrections.items() if present):
        hint = "corrects log odds, and this task's head predicts none"
        yield Problem("surface.yaml", f"training.{name}.{field}", "", hint)


def _declares(surface: SurfaceSpec, task: str, field: str) -> bool:
    return task in surface.training and field in surface.training[task].model_fields_set


def _check_start(
    name: str, training: TaskTraining, surface: SurfaceSpec, tasks: TasksSpec
) -> Iterator[Problem]:
    start = training.start_from
    if start is None or (start.task == name and not _declares(surface, name, "start_from")):
        return
    where = f"training.{name}.start_from.task"
    if start.task not in tasks.tasks:
        yield Problem("surface.yaml", where, abbreviate(start.task), unknown("task", start.task, tasks.tasks))
    elif not tasks.tasks[start.task].train:
        yield Problem("surface.yaml", where, abbreviate(start.task), NEVER_TRAINED)
    elif start.task == name or _starts_from_another(surface, start.task):
        hint = "a task starts from another, and that one from none"
        yield Problem("surface.yaml", where, abbreviate(start.task), hint)
    elif head_kind(tasks.tasks[start.task].kind, surface.training_for(start.task).objective) != "binary":
        hint = "is not a binary head, so it has no log odds to start from"
        yield Problem("surface.yaml", where, abbreviate(start.task), hint)
    if training.warm_start:
        hint = "continues the champion's model, and start_from another task's: choose one"
        yield Problem("surface.yaml", f"training.{name}.warm_start", "true", hint)


def _starts_from_another(surface: SurfaceSpec, task: str) -> bool:
    start = surface.training_for(task).start_from
    return start is not None and start.task != task


def _summed(place: str, declared: UtilitySpec | PolicyContext) -> Iterator[tuple[str, list[str]]]:
    """Yield each field that adds up or compares predictions, with the tasks that it names."""
    yield f"{place}weights", list(declared.weights)
    yield f"{place}relevance_floor", list(declared.relevance_floor)
    for name, term in declared.terms.items():
        yield f"{place}terms.{name}", list(dict.fromkeys((*term.tasks, *term.where)))


def _check_utility(
    surface: SurfaceSpec, tasks: TasksSpec, utility: UtilitySpec, sound: Sequence[str]
) -> Iterator[Problem]:
    """Refuse quantile heads, ranking heads and tasks without a head where probabilities or means are read."""
    named = {
        "lexicographic": [tier.task for tier in utility.lexicographic],
        **dict(_summed("", utility)),
        **{
            field: names
            for i, context in enumerate(utility.contexts)
            for field, names in _summed(f"contexts.{i}.", context)
        },
        "guardrails": _predicted([rail.metric for rail in utility.guardrails], tasks),
    }
    if (tuned := utility.constrained) is not None:
        metrics = [tuned.maximise, *(one.metric for one in tuned.subject_to)]
        named["constrained"] = _predicted(metrics, tasks)
    for field, names in named.items():
        for name in names:
            if name not in sound:
                continue
            kind = head_kind(tasks.tasks[name].kind, surface.training_for(name).objective)
            if not tasks.tasks[name].train:
                hint = f"{NEVER_TRAINED}, so there is no prediction of it: "
                hint += f"name {name}_rate" if field in _OF_METRICS else "train it, or leave it out"
                yield Problem("utility.yaml", f"{field}.{name}", "", hint)
            elif kind in ("quantile", "ranking"):
                hint = (
                    f"is a {kind} head: it predicts no probability or mean, so it is in no sum, floor or tier"
                )
                yield Problem("utility.yaml", f"{field}.{name}", "", hint)


def _find_debiasing_problems(
    name: str, surface: SurfaceSpec, tasks: TasksSpec, unread: Unread
) -> Iterator[Problem]:
    """Find corrections that cannot be estimated."""
    task, training = tasks.tasks[name], surface.training_for(name)
    compose, when, start = task.compose, task.observed_when, training.start_from
    by_weight = training.position == "weight"
    own_position = by_weight and _declares(surface, name, "position")
    own_weights = surface.training[name].weights if name in surface.training else None
    undeclared = surface.examination is None and not unread.touches("surface", "examination")
    answered = when is not None and when.event is not None
    both = {name, start.task if start else name}
    sees_position = {surface.training_for(one).position == "feature" for one in both}
    for field, is_broken, hint in (
        ("position", by_weight and undeclared,
         "weighs by examination, which the surface does not declare: name it, or `estimated`"),
        ("position", own_position and head_kind(task.kind, training.objective) != "binary",
         "weights are those of log loss: this head takes `feature`"),
        ("position", own_position and compose is not None and not (compose.all_of or compose.any_of),
         "assumes that outcomes need an examined item; this one is the absence of an event"),
        ("delayed", training.delayed and _declares(surface, name, "delayed") and not task.comes_late,
         "needs the time of a task's own event: it is for `positive`, observed on every row"),
        ("weights.response",
         own_weights is not None and own_weights.response is not None and not answered,
         "is for a task that is observed when an event answers (observed_when: {event})"),
        ("start_from", len(sees_position) > 1,
         "both tasks see the same features: `position: feature` is for both, or for neither"),
    ):  # fmt: skip
        if is_broken:
            yield Problem("surface.yaml", f"training.{name}.{field}", "", hint)


def _predicted(names: Iterable[str], tasks: TasksSpec) -> list[str]:
    """Return the tasks whose predictions the metrics read."""
    metrics = (parse_metric(name, tasks=tasks.tasks, columns=()) for name in names)
    return [str(metric.subject) for metric in metrics if metric and metric.kind in _OF_PREDICTIONS]


def find_trunk_problems(surface: SurfaceSpec, tasks: TasksSpec, unread: Unread) -> Iterator[Problem]:
    """Find trunks that cannot be trained as declared, and tasks whose model no trunk provides."""
    if any(unread.touches("surface", section) for section in ("trunks", "models", "features", "segments")):
        return
    for name, trunk in surface.trunks.items():
        if name in tasks.tasks:
            hint = (
                f"is a task's name too, and `equipoise train {surface.surface} {name}` means one: rename it"
            )
            yield Problem("surface.yaml", f"trunks.{name}", "", hint)
        yield from _check_columns(name, trunk, surface)
        known = [task for task in trunk.tasks if task in tasks.trained]
        for task in sorted({*trunk.tasks} - {*known}):
            hint = NEVER_TRAINED if task in tasks.tasks else unknown("task", task, tasks.trained)
            yield Problem("surface.yaml", f"trunks.{name}.tasks", abbreviate(task), hint)
        sound = [task for task in known if not unread.task(task)]
        yield from _check_tasks(name, sound, trunk, surface, tasks)
    yield from _check_models(surface, tasks, unread)


def _check_columns(name: str, trunk: Trunk, surface: SurfaceSpec) -> Iterator[Problem]:
    segments = (segment.column for segment in surface.segments if segment.bins is None)
    known = dict.fromkeys([c.USER_ID, c.ITEM_ID, *surface.features.categorical, *segments])
    for column in (column for column in trunk.ids if column not in known):
        hint = unknown("column of ids", column, known)
        yield Problem("surface.yaml", f"trunks.{name}.ids.{column}", "", hint)


def _check_tasks(
    name: str, known: list[str], trunk: Trunk, surface: SurfaceSpec, tasks: TasksSpec
) -> Iterator[Problem]:
    where = f"trunks.{name}.tasks"
    for task in known:
        kind = head_kind(tasks.tasks[task].kind, surface.training_for(task).objective)
        if kind not in ("binary", "value"):
            hint = f"is a {kind} head; a trunk predicts probabilities and means: leave it out"
            yield Problem("surface.yaml", where, abbreviate(task), hint)
        above = {*tasks.needs(task)} - {*tasks.parts(task), *trunk.tasks}
        if above and surface.training_for(task).space != "entire":
            hint = f"is learned given '{', '.join(sorted(above))}', which has to be in the trunk too"
            yield Problem("surface.yaml", where, abbreviate(task), hint)
    cadences = {tasks.tasks[task].cadence: task for task in known}
    if len(cadences) > 1:
        hint = "a trunk is trained at once, and these are of two cadences: one trunk for each"
        yield Problem("surface.yaml", where, ", ".join(sorted(cadences.values())), hint)


def _check_models(surface: SurfaceSpec, tasks: TasksSpec, unread: Unread) -> Iterator[Problem]:
    for name in sorted({*surface.models} - {"default", *tasks.trained}):
        hint = NEVER_TRAINED if name in tasks.tasks else unknown("task", name, [*tasks.trained, "default"])
        yield Problem("surface.yaml", f"models.{name}", "", hint)
    asked = surface.models.get("default", "trees")
    if not surface.trunks and asked != "trees":
        hint = "no trunk is declared: add one under `trunks`, or leave this out"
        yield Problem("surface.yaml", "models.default", asked, hint)
    for task in (task for task in tasks.trained if surface.model_for(task) != "trees"):
        holding = [name for name, trunk in surface.trunks.items() if task in trunk.tasks]
        own, asked = task in surface.models, surface.model_for(task)
        where = f"models.{task}" if own else "models.default"
        if own and not holding:
            hint = f"no trunk has '{task}' among its tasks: name it in one, or set trees"
            yield Problem("surface.yaml", where, asked, hint)
        elif len(holding) > 1:
            hint = f"'{task}' belongs to {len(holding)} trunks ({', '.join(holding)}): leave it in one"
            yield Problem("surface.yaml", where, asked, hint)
        elif holding and surface.training_for(task).monotone and not unread.touches("surface", "training"):
            hint = f"a trunk keeps no bounds, and training declares some for '{task}' (monotone): choose one"
            yield Problem("surface.yaml", where, asked, hint)
