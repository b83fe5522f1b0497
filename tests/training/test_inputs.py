"""What decides a model's bytes: every field that people declare is among its inputs, or named with a reason."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from tasks.contracts import Contracts, SlateSpec, UtilitySpec
from tasks.contracts.surface import ExaminationSpec, LightGBMParameters, SurfaceSpec
from tasks.contracts.tasks import Compose, Exclusion, ObservedWhen, Sampling, TasksSpec
from tasks.contracts.training import Clip, ExampleWeights, Search, StartFrom, TaskTraining
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.inputs import UNUSED, calibrator_inputs, curve_inputs, model_inputs
from tasks.training.step import TrainResult
from tests.feeds import small_feed

DAY = timedelta(days=1)
TASK, DENSER, OTHER, VALUE = "buy_2d", "click_1d", "back_2d", "spend_2d"

LEARNED = {
    "objective": "lambdarank",
    "quantile": 0.9,
    "tweedie_power": 1.2,
    "weights.column": "worth",
    "weights.half_life": DAY,
    "weights.propensity.clip": 3.0,
    "weights.response.clip": 3.0,
    "weights.balanced": True,
    "start_from.task": VALUE,
    "start_from.by": "leaves",
    "space": "entire",
    "position": "feature",
    "delayed": True,
    "monotone": {"price": -1},
    "search.trials": 9,
    "search.seconds": 9,
    "engine": "dask",
}
TREES = dict.fromkeys(LightGBMParameters.model_fields, 3)
OUTCOME = {
    "kind": "value",
    "positive.event": ("order",),
    "positive.within": 3 * DAY,
    "positive.until": "due",
    "positive.match": ("user_id",),
    "positive.credit": "last_touch",
    "positive.after": DENSER,
    "positive.at_least": 2,
    "positive.value_at_least": 5.0,
    "positive.value_below": 9.0,
    "maturity": 9 * DAY,
    "observed_when.column": "seen",
    "observed_when.event": ("survey",),
    "observed_when.task": DENSER,
    "exclude": (Exclusion(event=("sold_out",), on=("item_id",)),),
    "level": "request",
    "loss_weight": 3.0,
    "sampling.negatives": 0.25,
    "sampling.by": {"category": {"a": 0.1}},
}
VALUED = {
    "event": ("order",),
    "within": 3 * DAY,
    "until": "due",
    "aggregate": "max",
    "match": ("user_id",),
    "credit": "last_touch",
    "after": DENSER,
    "clip": (0.0, 10.0),
}
EDITS: list[tuple[str, str, Any]] = [  # field of a file, where it stands in the contracts below, another value
    *((f"surface.training.{name}", f"surface.training.{TASK}.{name}", value) for name, value in LEARNED.items()),
    *((f"surface.lightgbm.{name}", f"surface.lightgbm.{TASK}.{name}", value) for name, value in TREES.items()),
    *((f"tasks.tasks.{name}", f"tasks.tasks.{TASK}.{name}", value) for name, value in OUTCOME.items()),
    *((f"tasks.tasks.value.{name}", f"tasks.tasks.{VALUE}.value.{name}", value) for name, value in VALUED.items()),
    *((f"tasks.tasks.compose.{name}", f"tasks.tasks.both.compose.{name}", ("spend_2d",)) for name in Compose.model_fields),
    ("tasks.tasks.exclude.event", f"tasks.tasks.{TASK}.exclude", (Exclusion(event=("lost",), on=("user_id",)),)),
    ("tasks.tasks.exclude.on", f"tasks.tasks.{TASK}.exclude", (Exclusion(event=("gone",), on=("item_id",)),)),
    (
        "tasks.tasks.exclude.before_positive",
        f"tasks.tasks.{TASK}.exclude",
        (Exclusion(event=("gone",), on=("user_id",), before_positive=True),),
    ),
    ("surface.features.numeric", "surface.features.numeric", ("age", "price")),
    ("surface.features.categorical", "surface.features.categorical", ()),
    ("surface.examination.by_position", "surface.examination.by_position", (1.0, 0.25)),
    ("surface.reference_position", "surface.reference_position", 2),
    ("surface.split.early_stop", "surface.split.early_stop", 0.2),
    ("surface.minimum.positives", "surface.minimum.positives", 21),
]  # fmt: skip


def declared() -> Contracts:
    """Return contracts in which every section that a task may have is there."""
    spec = TasksSpec.model_validate(yaml.safe_load(small_feed.TASKS))
    surface, tasks = SurfaceSpec.model_validate(yaml.safe_load(small_feed.SURFACE)), dict(spec.tasks)
    training = TaskTraining(
        position="weight",
        weights=ExampleWeights(propensity=Clip(), response=Clip()),
        start_from=StartFrom(task=DENSER),
        search=Search(trials=2, seconds=5),
    )
    surface = surface.model_copy(
        update={
            "examination": ExaminationSpec(by_position=(1.0, 0.5)),
            "training": {TASK: training},
            "lightgbm": {**surface.lightgbm, TASK: LightGBMParameters(num_leaves=5)},
        }
    )
    tasks[TASK] = tasks[TASK].model_copy(
        update={
            "observed_when": ObservedWhen(column="visible"),
            "exclude": (Exclusion(event=("gone",), on=("user_id",)),),
            "sampling": Sampling(negatives=0.5),
        }
    )
    both = tasks[TASK].model_copy(update={"positive": None, "compose": Compose(all_of=(DENSER,))})
    tasks["both"] = both.model_copy(update={"observed_when": None, "exclude": ()})
    return Contracts(
        surface=surface,
        tasks=spec.model_copy(update={"tasks": tasks}),
        utility=UtilitySpec.model_validate(yaml.safe_load(small_feed.UTILITY)),
        slate=SlateSpec.model_validate(yaml.safe_load(small_feed.SLATE)),
        digests={},
    )


CONTRACTS = declared()


def edited(contracts: Contracts, path: str, value: Any) -> Contracts:
    """Return contracts with another value at a dotted path such as ``surface.split.train``."""
    file, *names = path.split(".")
    return replace(contracts, **{file: _edited(getattr(contracts, file), names, value)})


def _edited(inside: Any, names: list[str], value: Any) -> Any:
    if not names:
        return value
    name, *below = names
    if isinstance(inside, dict):
        return {**inside, name: _edited(inside[name], below, value)}
    return inside.model_copy(update={name: _edited(getattr(inside, name), below, value)})


def leaves(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Name every field that people can write, by a dotted path without the keys of mappings."""
    for name, field in model.model_fields.items():
        nested = list(models_in(field.annotation))
        for inside in nested:
            yield from leaves(inside, f"{prefix}.{name}")
        if not nested:
            yield f"{prefix}.{name}"


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def trained_task(path: str) -> str:
    """Return the task of the contracts above that an edit is about."""
    return next((task for task in (VALUE, "both") if f".{task}." in path), TASK)


LEAVES = [*leaves(SurfaceSpec, "surface"), *leaves(TasksSpec, "tasks")]


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_field_is_among_the_inputs_or_named_with_a_reason(leaf: str) -> None:
    """Where this fails, a field is new: let the inputs hold it, or say in ``UNUSED`` why they need not."""
    unused = [path for path in UNUSED if f"{leaf}.".startswith(f"{path}.")]
    used = [field for field, _, _ in EDITS if field == leaf]
    assert len(unused) + len(used) == 1


@pytest.mark.parametrize("path", UNUSED)
def test_what_is_said_to_be_unused_is_a_field(path: str) -> None:
    assert any(f"{leaf}.".startswith(f"{path}.") for leaf in LEAVES)


@pytest.mark.parametrize(("field", "path", "value"), EDITS, ids=[field for field, _, _ in EDITS])
def test_an_edit_of_what_is_learned_makes_another_model(field: str, path: str, value: Any) -> None:
    task = trained_task(path)
    assert model_inputs(edited(CONTRACTS, path, value), task) != model_inputs(CONTRACTS, task)


@pytest.mark.parametrize("path", UNUSED)
def test_an_edit_of_what_is_unused_makes_no_other_model(path: str) -> None:
    """Any value will do, since none is read."""
    for section in ("tasks.tasks", "surface.training"):
        path = path.replace(section, f"{section}.{TASK}")
    assert model_inputs(edited(CONTRACTS, path, object()), TASK) == model_inputs(CONTRACTS, TASK)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surface.lightgbm", {**CONTRACTS.surface.lightgbm, OTHER: LightGBMParameters(num_leaves=9)}),
        ("surface.training", {**CONTRACTS.surface.training, OTHER: TaskTraining(objective="lambdarank")}),
        (f"tasks.tasks.{OTHER}.loss_weight", 7.0),
        (f"tasks.tasks.{OTHER}.positive.within", DAY),
    ],
)
def test_what_is_said_of_another_task_makes_no_other_model(path: str, value: Any) -> None:
    assert model_inputs(edited(CONTRACTS, path, value), TASK) == model_inputs(CONTRACTS, TASK)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"tasks.tasks.{TASK}.positive.within", 3 * DAY),
        (f"tasks.tasks.{TASK}.maturity", 9 * DAY),
    ],
)
def test_what_a_parent_means_is_among_the_inputs_of_its_child(path: str, value: Any) -> None:
    assert model_inputs(edited(CONTRACTS, path, value), OTHER) != model_inputs(CONTRACTS, OTHER)


def test_the_engine_of_one_machine_is_no_input_where_it_is_named() -> None:
    path = f"surface.training.{TASK}.engine"
    assert model_inputs(edited(CONTRACTS, path, "local"), TASK) == model_inputs(CONTRACTS, TASK)


def test_how_a_parent_is_learned_is_not_among_the_inputs_of_its_child() -> None:
    assert model_inputs(edited(CONTRACTS, f"tasks.tasks.{TASK}.loss_weight", 7.0), OTHER) == model_inputs(
        CONTRACTS, OTHER
    )


def test_how_a_denser_task_is_learned_is_among_the_inputs_of_the_one_that_starts_from_it() -> None:
    assert model_inputs(edited(CONTRACTS, f"tasks.tasks.{DENSER}.loss_weight", 7.0), TASK) != model_inputs(
        CONTRACTS, TASK
    )


def test_segments_are_among_the_inputs_of_a_calibrator() -> None:
    other = edited(CONTRACTS, "surface.segments", CONTRACTS.surface.segments[:1])
    assert calibrator_inputs(other, TASK) != calibrator_inputs(CONTRACTS, TASK)


def test_an_estimated_curve_hangs_on_the_days_and_the_outcomes_it_is_estimated_from() -> None:
    estimated = edited(CONTRACTS, "surface.examination", "estimated")
    for path, value in (
        ("surface.split.train", 9 * DAY),
        (f"tasks.tasks.{DENSER}.maturity", 9 * DAY),
        (f"tasks.tasks.{DENSER}.cadence", "slow"),
        (f"tasks.tasks.{DENSER}.train", False),
    ):
        assert curve_inputs(edited(estimated, path, value)) != curve_inputs(estimated)
    assert curve_inputs(edited(estimated, "surface.gates", object())) == curve_inputs(estimated)


def trained(feed: tuple[Workspace, str]) -> TrainResult:
    workspace, snapshot = feed
    return train.run(workspace, task=TASK, as_of=small_feed.AS_OF, snapshot=snapshot)


def trained_again(workspace: Workspace, **changed: str) -> TrainResult:
    """Train in the same home under changed contracts, on labels that are built and published under them."""
    small_feed.write_contracts(workspace.surfaces, **changed)
    edited = Workspace.open(small_feed.NAME, surfaces=workspace.surfaces, home=workspace.home)
    snapshot = labels.run(edited, as_of=small_feed.AS_OF).snapshot
    LabelStore(Store.open(edited.home), edited.surface).publish(
        snapshot, report="report.html", severity="none"
    )
    return trained((edited, snapshot))


@pytest.mark.parametrize(
    ("file", "found", "edit"),
    [
        ("surface", "", "gates: {data: {rows: 7}}\nschedule: {retrain: '0 5 * * 2'}\n"),
        ("surface", "reviewers: {product: [ana]}", "reviewers: {product: [ana, bea]}"),
        (
            "surface",
            "  default: {num_leaves: 7",
            f"  {DENSER}: {{num_leaves: 3}}\n  default: {{num_leaves: 7",
        ),
        ("tasks", "observed_when: {column: visible}}", "loss_weight: 3.0, observed_when: {column: visible}}"),
        ("utility", "relative_increase_max: 0.05", "relative_increase_max: 0.5"),
    ],
)
def test_what_does_not_concern_a_model_finds_its_version_again(
    tmp_path: Path, file: str, found: str, edit: str
) -> None:
    """Also where the edit gives the labels another contract digest, and so the snapshot another name."""
    text = {"surface": small_feed.SURFACE, "tasks": small_feed.TASKS, "utility": small_feed.UTILITY}[file]
    assert found in text
    feed = small_feed.small_feed(tmp_path)
    first = trained(feed)
    again = trained_again(feed[0], **{file: text.replace(found, edit) if found else text + edit})
    assert (again.version, again.run_id, again.reused) == (1, first.run_id, True)


@pytest.mark.parametrize(
    ("found", "edit"),
    [
        ("[price, age]", "[price]"),
        ("train: P14D", "train: P13D"),
        ("num_leaves: 7", "num_leaves: 6"),
        ("positives: 20", "positives: 21"),
    ],
)
def test_what_a_model_is_made_from_makes_another_version(tmp_path: Path, found: str, edit: str) -> None:
    feed = small_feed.small_feed(tmp_path)
    first = trained(feed)
    other = trained_again(feed[0], surface=small_feed.SURFACE.replace(found, edit))
    assert (other.version, other.reused) == (2, False)
    assert (other.sha256 == first.sha256) == (found == "positives: 20")
