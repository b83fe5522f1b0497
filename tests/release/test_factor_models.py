"""A slow task's joint is fitted and measured with parents that learned nothing of its days (law 1).

Returns of the short home_feed come within 5 days of a purchase: they are tested before the shared days.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.labels.store import LabelStore
from tasks.release.factor_models import FactorModelBuilder
from tasks.release.parts import Pins, pins_of
from tasks.stores.manifest import Role
from tasks.training.slices import plan_slices
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME, Retrained

PARENT, CHILD = "purchase_2d", "return_5d"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def evidence(first_retrain: Retrained) -> ReleaseEvidence:
    registry = first_retrain.workspace.store.registry
    part = registry.part(f"{NAME}.release", 1)
    return registry.runs.read_evidence(registry.run_id(part), ReleaseEvidence)


def test_a_purchase_was_made_that_knows_nothing_of_the_days_that_returns_are_tested_on(
    first_retrain: Retrained, evidence: ReleaseEvidence
) -> None:
    (factor_model,) = evidence.factor_models
    assert (factor_model.task, factor_model.parent) == (CHILD, PARENT)
    tested = next(figures for figures in evidence.tasks if figures.task == CHILD)
    served = first_retrain.workspace.releases.manifest(1).part(Role.CALIBRATOR, PARENT)
    assert factor_model.calibrator.version != served.version
    assert served.trained_until() >= tested.days[0], "the one that serves was calibrated on later days"
    assert factor_model.slices["train"][1] + 3 * DAY <= factor_model.slices["calibrate"][0]
    assert factor_model.slices["calibrate"][1] + 3 * DAY <= tested.days[0]
    assert factor_model.slices["test"] == tested.days
    assert evidence.unmeasured == {}


def test_it_is_no_part_of_the_release_and_says_so_in_the_registry(
    first_retrain: Retrained, evidence: ReleaseEvidence
) -> None:
    (factor_model,) = evidence.factor_models
    manifest = first_retrain.workspace.releases.manifest(1)
    assert manifest.pins[factor_model.model.name] != factor_model.model.version
    client = first_retrain.workspace.store.registry.client
    for part in (factor_model.model, factor_model.calibrator):
        described = client.get_model_version(part.name, str(part.version)).description
        assert described == f"Factor model of the joint of {CHILD}; never served."


def test_the_model_that_serves_is_as_new_as_ever(first_retrain: Retrained) -> None:
    workspace = first_retrain.workspace
    manifest = workspace.releases.manifest(1)
    labels = LabelStore(workspace.store, NAME).snapshot(manifest.snapshot.id)
    planned = plan_slices(workspace.contracts, AS_OF, labels.dates()).tasks[PARENT]
    assert manifest.part(Role.TASK, PARENT).trained_until() == planned.train.last
    assert manifest.part(Role.CALIBRATOR, PARENT).trained_until() == planned.calibrate.last


def test_a_proxy_that_is_the_parent_of_its_slow_outcome_learned_nothing_of_it(
    evidence: ReleaseEvidence,
) -> None:
    assert {proxy.slow: proxy.learned for proxy in evidence.proxies} == {"satisfied_2d": False, CHILD: False}


def factor_models(retrained: Retrained) -> tuple[FactorModelBuilder, Pins]:
    workspace = retrained.workspace
    manifest = workspace.releases.manifest(1)
    labels = LabelStore(workspace.store, NAME).snapshot(manifest.snapshot.id)
    slices = plan_slices(workspace.contracts, AS_OF, labels.dates())
    pins = pins_of(manifest, workspace.contracts.tasks.tasks)
    return FactorModelBuilder(workspace, labels, slices, None), pins


def test_what_judged_is_found_again(first_retrain: Retrained, evidence: ReleaseEvidence) -> None:
    made, pins = factor_models(first_retrain)
    found = made.of(pins)
    assert list(found) == [CHILD]
    assert list(found[CHILD].evidence(CHILD)) == list(evidence.factor_models)
    assert list(found[CHILD].chain) == [PARENT, CHILD]
    assert found[CHILD].chain[CHILD] == pins[CHILD]


def test_a_parent_that_is_old_enough_judges_by_itself(first_retrain: Retrained) -> None:
    made, pins = factor_models(first_retrain)
    old = made.of(pins)[CHILD].chain[PARENT]
    assert made.of({**pins, PARENT: old}) == {}


def test_where_no_factor_from_before_those_days_can_be_trained_it_is_said_why(
    first_retrain: Retrained, tmp_path: Path
) -> None:
    made, pins = factor_models(first_retrain)
    workspace = mini.changed(first_retrain.workspace, tmp_path, surface=setting("minimum.positives", 10**6))
    factor_model = replace(made, workspace=workspace).of(pins)[CHILD]
    assert factor_model.chain == {}
    assert list(factor_model.evidence(CHILD)) == []
    assert factor_model.why.startswith(
        f"No factor of {PARENT} from before its test days: Task '{PARENT}' cannot be"
    )


def test_a_task_that_was_calibrated_on_its_own_test_days_is_not_measured(first_retrain: Retrained) -> None:
    made, pins = factor_models(first_retrain)
    model, calibrator = pins[CHILD]
    test = made.slices.tasks[CHILD].test
    later = replace(calibrator, slices={**calibrator.slices, "calibrate": (test.first, test.last)})
    factor_model = made.of({**pins, CHILD: (model, later)})[CHILD]
    assert factor_model.chain == {}
    assert factor_model.why == f"{CHILD} itself learned from days that it would be measured on."
