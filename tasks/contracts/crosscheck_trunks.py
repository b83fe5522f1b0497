"""What shared trunks may ask of a surface's tasks and columns, and which tasks may take their model from one.

What ``models.default`` asks for applies to the tasks that stand in a trunk; a task of its own has to.
"""

from collections.abc import Iterator

from tasks import columns as c
from tasks.contracts.problems import Problem, Unread, abbreviate
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import NEVER_TRAINED, TasksSpec
from tasks.contracts.training import head_kind
from tasks.contracts.trunks import Trunk
from tasks.errors import unknown


def find_trunk_problems(surface: SurfaceSpec, tasks: TasksSpec, unread: Unread) -> Iterator[Problem]:
    """Find trunks that cannot be learned as asked, and tasks whose model no trunk has."""
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
            hint = f"no trunk has '{task}' among its tasks: name it in one, or say trees"
            yield Problem("surface.yaml", where, asked, hint)
        elif len(holding) > 1:
            hint = f"'{task}' belongs to {len(holding)} trunks ({', '.join(holding)}): leave it in one"
            yield Problem("surface.yaml", where, asked, hint)
        elif holding and surface.training_for(task).monotone and not unread.touches("surface", "training"):
            hint = f"a trunk keeps no bounds, and training declares some for '{task}' (monotone): choose one"
            yield Problem("surface.yaml", where, asked, hint)
