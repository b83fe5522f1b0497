"""The recipe that a model's evidence keeps, put back into contracts: what is needed to learn a task so again.

::

    recipe  = contracts (outcomes, learned, features, early stop, positives), split, lightgbm
      -> outcomes as in the contracts in force?    the labels of the present snapshot are its labels too
      -> contracts in force, with its features, trees, examples, train and calibrate days

The test days, what the surface reads and the tasks that the recipe says nothing of stay those in force.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from tasks.contracts import Contracts, TaskSpec, digest
from tasks.contracts.chains import position_correction
from tasks.contracts.surface import Features, LightGBMParameters, Split
from tasks.contracts.tasks import Sampling
from tasks.contracts.training import TaskTraining
from tasks.errors import DataError
from tasks.evaluation.documents import Section
from tasks.evaluation.evidence import TrainingEvidence
from tasks.training.inputs import curve_inputs, outcome_inputs

Kept = Mapping[str, JsonValue]
"""The content of a recipe, as evidence holds it."""
_LIGHTGBM: Final = "lightgbm"


class _Learned(Section):
    """How one task is learned; ``reference`` or ``examination`` where it is corrected for position."""

    lightgbm: dict[str, float | int]
    training: dict[str, JsonValue]
    loss_weight: float | int
    sampling: dict[str, JsonValue] | None
    reference: int | None = None
    examination: JsonValue = None


class _Declared(Section):
    """What contracts say of a task; see `tasks.training.inputs.model_inputs`."""

    outcomes: dict[str, JsonValue]
    learned: dict[str, _Learned]
    features: dict[str, JsonValue]
    early_stop: float
    positives: int


class _Recipe(Section):
    """The whole."""

    contracts: _Declared
    split: dict[str, JsonValue]
    lightgbm: str


def find_recipe(ours: TrainingEvidence, champion: TrainingEvidence, *, tagged: str) -> Kept:
    """Return the champion's recipe, where its contracts are others than ours.

    Parameters
    ----------
    tagged : the digest of its recipe, by its version's tag.

    Raises
    ------
    DataError
        It is not what the tag says, or is ours by another version of LightGBM.
    """
    recipe = champion.recipe
    if digest(recipe) != tagged:
        raise DataError("the champion's recipe is not the one that its version's tag is the digest of")
    if _declared(ours.recipe) == _declared(recipe):
        raise DataError("the contracts are the champion's, and only the version of LightGBM differs")
    return recipe


def _declared(recipe: Kept) -> dict[str, JsonValue]:
    return {name: content for name, content in recipe.items() if name != _LIGHTGBM}


def restore_recipe(contracts: Contracts, task: str, recipe: Kept) -> Contracts:
    """Return contracts in force under which a task is learned by an earlier recipe.

    Raises
    ------
    DataError
        It cannot be learned so from labels under the contracts in force, and why.
    """
    try:
        kept = _Recipe.model_validate(dict(recipe))
        _require_outcomes(contracts, kept.contracts)
        restored = _restore(contracts, kept)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"this program cannot read the champion's recipe ({where}: {first['msg']})") from None
    _require_curve(restored, task, kept.contracts)
    return restored


def _require_outcomes(contracts: Contracts, kept: _Declared) -> None:
    """Refuse a recipe of other labels: the snapshot's columns mean something else."""
    known = {name: outcome_inputs(contracts, name) for name in contracts.tasks.tasks}
    names = dict.fromkeys((*kept.outcomes, *kept.learned))
    if other := [name for name in names if name not in known or known[name] != kept.outcomes.get(name)]:
        raise DataError(f"the champion's {', '.join(other)} has another outcome definition")


def _require_curve(contracts: Contracts, task: str, kept: _Declared) -> None:
    """Refuse examples that were weighed by another examination curve than the snapshot's."""
    for name, learned in kept.learned.items():
        weighed = position_correction(contracts, name) == "weight"
        if weighed and digest(learned.examination) != digest(curve_inputs(contracts)):
            raise DataError(f"the champion's {task} was corrected by another examination curve")


def _restore(contracts: Contracts, kept: _Recipe) -> Contracts:
    surface, declared = contracts.surface, kept.contracts
    references = [one.reference for one in declared.learned.values() if one.reference is not None]
    changes: dict[str, Any] = {
        "features": Features.model_validate(declared.features),
        "split": Split.model_validate(kept.split).model_copy(update={"test": surface.split.test}),
        "minimum": surface.minimum.model_copy(update={"positives": declared.positives}),
        "lightgbm": {
            name: LightGBMParameters.model_validate(one.lightgbm) for name, one in declared.learned.items()
        },
        "training": {name: _training(contracts, name, one) for name, one in declared.learned.items()},
        **({"reference_position": references[0]} if references else {}),
    }
    tasks = {name: _task(contracts.tasks.tasks[name], one) for name, one in declared.learned.items()}
    return replace(
        contracts,
        surface=surface.model_copy(update=changes),
        tasks=contracts.tasks.model_copy(update={"tasks": {**contracts.tasks.tasks, **tasks}}),
    )


def _training(contracts: Contracts, task: str, learned: _Learned) -> TaskTraining:
    """Return how a task was learned; whether trees are continued is for the contracts in force to say."""
    training = TaskTraining.model_validate(learned.training)
    warm = contracts.surface.training_for(task).warm_start
    return training.model_copy(update={"warm_start": warm, "search": None})


def _task(spec: TaskSpec, learned: _Learned) -> TaskSpec:
    sampling = None if learned.sampling is None else Sampling.model_validate(learned.sampling)
    return spec.model_copy(update={"loss_weight": learned.loss_weight, "sampling": sampling})
