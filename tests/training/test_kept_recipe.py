"""A kept recipe, put back into contracts, learns a task as it was learned then; on other labels it is refused."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tasks.contracts import Contracts, canonical_json, digest
from tasks.contracts.tasks import TasksSpec
from tasks.errors import DataError
from tasks.training.evidence import TrainingEvidence
from tasks.training.inputs import model_inputs, training_recipe
from tasks.training.same_day import find_recipe, restore_recipe
from tests.evaluation import written
from tests.training.test_inputs import CONTRACTS, DAY, DENSER, EDITS, TASK, edited

_NO_CONTRACT = (".quantile", ".tweedie_power", ".learning_rate", "_fraction")
"""Edits that no file could hold: without the objective that they go with, or out of their range."""
LEARNED = [
    (path, value)
    for _, path, value in EDITS
    if (
        not path.endswith(_NO_CONTRACT)
        and path.startswith(("surface.features", "surface.lightgbm", "surface.training", "surface.minimum"))
    )
    or path.endswith((".loss_weight", ".sampling.negatives", ".sampling.by", ".early_stop"))
]
"""Edits of how the task is learned; the others are of what its outcome means, or of the examination curve."""


def kept(contracts: Contracts, task: str = TASK, *, lightgbm: str = "4.7") -> dict[str, Any]:
    """Return a recipe as evidence gives it back."""
    content: dict[str, Any] = json.loads(canonical_json(training_recipe(contracts, task, lightgbm=lightgbm)))
    return content


def without_search_and_engine(contracts: Contracts) -> dict[str, Any]:
    """Return what decides a model, but for the search, whose finding is repeated, and the engine in force."""
    inputs = model_inputs(contracts, TASK)
    for learned in inputs["learned"].values():
        for name in ("search", "engine"):
            learned["training"].pop(name, None)
    return json.loads(canonical_json(inputs))


@pytest.mark.parametrize(("path", "value"), LEARNED, ids=[path for path, _ in LEARNED])
def test_whatever_was_learned_otherwise_is_learned_so_again(path: str, value: Any) -> None:
    before = edited(CONTRACTS, path, value)
    assert without_search_and_engine(
        restore_recipe(CONTRACTS, TASK, kept(before))
    ) == without_search_and_engine(before)


def test_it_is_learned_by_the_engine_in_force() -> None:
    alone = edited(CONTRACTS, f"surface.training.{TASK}.start_from", None)
    there = edited(alone, f"surface.training.{TASK}.engine", "dask")
    now, then = (restore_recipe(of, TASK, kept(alone)).surface.training_for(TASK) for of in (there, alone))
    assert (now.engine, then.engine) == ("dask", None)


def test_the_lengths_of_its_slices_come_back_and_the_test_days_stay() -> None:
    before = edited(edited(CONTRACTS, "surface.split.train", 9 * DAY), "surface.split.test", 3 * DAY)
    split = restore_recipe(CONTRACTS, TASK, kept(before)).surface.split
    assert (split.train, split.test) == (9 * DAY, CONTRACTS.surface.split.test)


def test_what_the_recipe_says_nothing_of_stays() -> None:
    before = edited(CONTRACTS, f"surface.lightgbm.{TASK}.num_leaves", 3)
    restored = restore_recipe(CONTRACTS, TASK, kept(before))
    assert restored.utility is CONTRACTS.utility
    assert restored.surface.gates == CONTRACTS.surface.gates
    others = CONTRACTS.tasks.tasks.keys() - {TASK, DENSER}
    assert {restored.tasks.tasks[name] is CONTRACTS.tasks.tasks[name] for name in others} == {True}


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (f"tasks.tasks.{TASK}.positive.within", 3 * DAY, TASK),
        (f"tasks.tasks.{TASK}.maturity", 9 * DAY, TASK),
        (f"tasks.tasks.{DENSER}.positive.event", ("tap",), DENSER),
    ],
    ids=["its window", "when it is known", "the event of what it starts from"],
)
def test_a_recipe_of_another_outcome_is_refused_and_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(DataError, match=rf"the champion's {named} has another outcome definition"):
        restore_recipe(CONTRACTS, TASK, kept(edited(CONTRACTS, path, value)))


def test_a_denser_task_that_is_gone_is_no_outcome_of_these_labels() -> None:
    tasks = {name: spec for name, spec in CONTRACTS.tasks.tasks.items() if name != DENSER}
    left = replace(CONTRACTS, tasks=TasksSpec.model_construct(**{**dict(CONTRACTS.tasks), "tasks": tasks}))
    with pytest.raises(DataError, match=f"{DENSER} has another outcome definition"):
        restore_recipe(left, TASK, kept(CONTRACTS))


def test_another_examination_curve_is_refused() -> None:
    before = edited(CONTRACTS, "surface.examination.by_position", (1.0, 0.25))
    with pytest.raises(DataError, match="another examination curve"):
        restore_recipe(CONTRACTS, TASK, kept(before))


@pytest.mark.parametrize(
    "torn",
    [{}, {"contracts": 1}, kept(CONTRACTS) | {"split": {"train": "a while"}}, kept(CONTRACTS) | {"more": 1}],
    ids=["empty", "of another type", "no duration", "an unknown part"],
)
def test_a_recipe_that_cannot_be_read_says_where(torn: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"this program cannot read the champion's recipe \(\w+"):
        restore_recipe(CONTRACTS, TASK, torn)


def evidence(recipe: dict[str, Any]) -> TrainingEvidence:
    document: TrainingEvidence = written.document("training")
    return document.model_copy(update={"recipe": recipe})


def test_a_kept_recipe_is_found_by_the_digest_of_its_tag() -> None:
    ours, theirs = kept(CONTRACTS), kept(edited(CONTRACTS, f"surface.lightgbm.{TASK}.num_leaves", 3))
    assert find_recipe(evidence(ours), evidence(theirs), tagged=digest(theirs)) == theirs


@pytest.mark.parametrize(
    ("theirs", "tagged", "why"),
    [
        (kept(CONTRACTS), "0" * 64, "is not the one that its version's tag"),
        (kept(CONTRACTS, lightgbm="4.6"), digest(kept(CONTRACTS, lightgbm="4.6")), "only the version of LightGBM"),
    ],
    ids=["a tag that somebody set", "another version of LightGBM"],
)  # fmt: skip
def test_what_cannot_be_learned_by_again_says_why(theirs: dict[str, Any], tagged: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        find_recipe(evidence(kept(CONTRACTS)), evidence(theirs), tagged=tagged)


def test_a_recipe_survives_the_json_of_its_evidence() -> None:
    recipe = kept(edited(CONTRACTS, f"surface.training.{TASK}.weights.half_life", timedelta(hours=36)))
    again = TrainingEvidence.read(json.dumps(evidence(recipe).to_json()), where="Run r1")
    assert digest(again.recipe) == digest(recipe)
