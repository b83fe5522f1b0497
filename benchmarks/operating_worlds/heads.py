"""The heads of a retrain, made by the functions that its steps call, without registry, pictures, reports."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.calibration.choice import fit_map
from tasks.contracts import canonical_json
from tasks.labels.snapshot import Snapshot
from tasks.ranking.scoring import Scorer
from tasks.stores.manifest import Role
from tasks.stores.releases import policy_files
from tasks.stores.workspace import Workspace
from tasks.training.draw_examples import draw_training_rows
from tasks.training.rows import TaskRows, read_labels
from tasks.training.slices import ReleaseSlices, plan_slices
from tasks.training.trees import grow_trees, score_rows


@dataclass(frozen=True)
class Retrained:
    """What a retrain makes: a release's scorer, its slices and the labels that it learned from."""

    scorer: Scorer
    slices: ReleaseSlices
    snapshot: Snapshot


def retrain(workspace: Workspace, snapshot: Snapshot) -> Retrained:
    """Train and calibrate every task of a surface on a label snapshot."""
    contracts = workspace.contracts
    slices = plan_slices(contracts, snapshot.as_of, snapshot.dates())
    policies = policy_files(workspace)
    tasks = tuple(contracts.tasks.tasks)
    files = {
        "heads.json": canonical_json({"heads": [contracts.head_plan(task) for task in tasks]}).encode(),
        "utility.json": policies[Role.UTILITY_POLICY],
        "slate.json": policies[Role.SLATE_POLICY],
    }
    for task in tasks:
        files.update(_head(TaskRows(workspace, task, snapshot, slices.tasks[task])))
    return Retrained(Scorer.from_files(files), slices, snapshot)


def _head(rows: TaskRows) -> Iterator[tuple[str, bytes]]:
    """Yield a head's files of a release by path."""
    learned = draw_training_rows(rows)
    booster, encoder = grow_trees(rows, learned.examples).booster, learned.encoder
    calibrate = rows.slices.calibrate
    table, scores = rows.report(calibrate), score_rows(rows, calibrate, booster, encoder)
    calibrator, _ = fit_map(rows, table, scores, read_labels(table, rows.task), tested=None)
    yield f"models/{rows.task}.txt", booster.model_to_string().encode()
    yield f"encoders/{rows.task}.json", _plain(encoder.to_json())
    yield f"calibrators/{rows.task}.json", _plain(calibrator.to_json())


def _plain(content: object) -> bytes:
    return json.dumps(content, allow_nan=False).encode()
