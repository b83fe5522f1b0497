"""What a surface may ask of position, space, delay and answers: where the correction would have no meaning.

A word of a task's own is refused where it cannot act; the same word under ``default`` concerns the tasks that
it can act on.
"""

from collections.abc import Iterator

from tasks.contracts.problems import Problem
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import TaskSpec, TasksSpec
from tasks.contracts.training import TaskTraining, comes_late, head_kind


def find_debiasing_problems(surface: SurfaceSpec, tasks: TasksSpec) -> Iterator[Problem]:
    """Find corrections that cannot be made."""
    for name, task in tasks.tasks.items():
        training = surface.training_for(name)
        for field, hint in (
            *_check_position(task, training, surface, own=_declares(surface, name, "position")),
            *_check_delayed(task, own=bool(training.delayed) and _declares(surface, name, "delayed")),
            *_check_response(task, own=_asks_for_response(surface, name)),
            *_check_start(training, surface),
        ):
            yield Problem("surface.yaml", f"training.{name}.{field}", "", hint)


def _declares(surface: SurfaceSpec, task: str, field: str) -> bool:
    return task in surface.training and field in surface.training[task].model_fields_set


def _asks_for_response(surface: SurfaceSpec, task: str) -> bool:
    own = surface.training.get(task)
    return own is not None and own.weights is not None and own.weights.response is not None


def _check_position(
    task: TaskSpec, training: TaskTraining, surface: SurfaceSpec, *, own: bool
) -> Iterator[tuple[str, str]]:
    if training.position != "weight":
        return
    if surface.examination is None:
        yield "position", "weighs by examination, which the surface does not declare: name it, or `estimated`"
    if own and head_kind(task.kind, training.objective) != "binary":
        yield "position", "weights are those of log loss: this head takes `feature`"
    if own and task.compose is not None and not (task.compose.all_of or task.compose.any_of):
        yield "position", "supposes that nothing happens without a look, and this happens where nothing does"


def _check_delayed(task: TaskSpec, *, own: bool) -> Iterator[tuple[str, str]]:
    if own and not comes_late(task):
        yield "delayed", "needs the time of a task's own event: it is for `positive`, observed on every row"


def _check_response(task: TaskSpec, *, own: bool) -> Iterator[tuple[str, str]]:
    when = task.observed_when
    if own and (when is None or when.event is None):
        yield (
            "weights.response",
            "is for a task that is observed when an event answers (observed_when: {event})",
        )


def _check_start(training: TaskTraining, surface: SurfaceSpec) -> Iterator[tuple[str, str]]:
    start = training.start_from
    if start is None:
        return
    sees = {kind.position == "feature" for kind in (training, surface.training_for(start.task))}
    if len(sees) > 1:
        yield (
            "start_from",
            "both tasks see the same features: `position: feature` is for both, or for neither",
        )
