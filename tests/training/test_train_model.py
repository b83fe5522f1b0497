"""A model is trained in memory as the step trains it, and nothing of it is registered."""

import numpy as np
import pytest

from tasks.labels import snapshot as label_snapshot
from tasks.stores.workspace import Workspace
from tasks.training import step
from tasks.training.encoding import encode
from tasks.training.rows import TaskRows
from tasks.training.train_model import predict_rows, score_rows, train_model
from tasks.training.trees import read_model
from tests.feeds.small_feed import AS_OF

TASK = "click_1d"


def test_by_the_contracts_parameters_it_is_the_steps_own_model(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    result = step.run(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot)
    registry = workspace.store.registry
    registered, encoder = read_model(registry.files(registry.part(result.model, result.version)))
    rows = TaskRows.open(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot)
    own = workspace.contracts.surface.lightgbm_for(TASK)
    before = len(registry.versions(result.model))
    trained = train_model(rows, None, lambda _: (own, None))
    np.testing.assert_array_equal(
        predict_rows(rows, rows.slices.test, trained.fitted.booster, trained.rows.encoder),
        predict_rows(rows, rows.slices.test, registered, encoder),
    )
    assert (trained.parameters, trained.search) == (own, None)
    assert len(registry.versions(result.model)) == before


def test_some_rows_at_a_time_get_the_scores_of_all_at_once(
    labelled_feed: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, snapshot = labelled_feed
    rows = TaskRows.open(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot)
    trained = train_model(rows, None, lambda _: ({"rounds": 3}, None))
    model = trained.fitted.booster, trained.rows.encoder
    days = rows.slices.calibrate
    all_at_once = model[0].predict(encode(model[1], rows.read_outcomes(days, rows.features)))
    monkeypatch.setattr(label_snapshot, "PIECE", 100)
    pieces = list(rows.stream_report(days, model[1].names))
    assert len(pieces) > 2
    np.testing.assert_array_equal(score_rows(rows, days, *model), all_at_once)


def test_what_chooses_the_parameters_may_try_some(labelled_feed: tuple[Workspace, str]) -> None:
    workspace, snapshot = labelled_feed
    rows = TaskRows.open(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot)
    tried = train_model(
        rows, None, lambda train: ({"rounds": train(parameters={"rounds": 3}).rounds + 1}, None)
    )
    assert tried.fitted.rounds == 4
