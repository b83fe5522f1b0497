"""Trees, a shared trunk, their blend and ``best`` on KuaiRand-Pure: ``python -m benchmarks.trunk_kuairand``.

The steps of a retrain of ``short_video`` train and calibrate four tasks, with and without ids, for each seed
of the trunk. Printed are each model's normalized entropy on the test days, and what ``best`` chose with its
paired rise against the trees, below 0 where it is better, with a 95 % interval by user.

The steps' results are kept in ``--folder``: a run that was ended goes on. KuaiRand-Pure is looked for as by
``benchmarks.calibration``.
"""

import argparse
import shutil
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from benchmarks.calibrating.logged import LOGGED, ROOT, SHARED, shared_data
from tasks.calibration import step as calibration
from tasks.calibration.choice import CalibrationEvidence
from tasks.calibration.head_models import MODELS
from tasks.contracts.load import read_yaml
from tasks.evaluation.evidence import HeadModel, HeadModels
from tasks.evaluation.verdicts import Estimate
from tasks.labels import build as labels
from tasks.stores.workspace import Workspace
from tasks.training import step as training
from tasks.training import trunk_step
from tasks.training.rows import TaskRows
from tasks.validation import step as validation

TASKS: Final = ("click", "long_view", "like", "profile_enter")
IDS: Final = {
    "no ids": {},
    "ids": {"ids": {"user_id": 16, "item_id": 16}, "interactions": [["user_id", "item_id"]]},
}
NO_RISE: Final = Estimate(0.0, 0.0, 0.0, 0)
_AS_OF: Final = LOGGED["kuairand"].as_of


def main() -> None:
    """Print a row for each seed, trunk and task, and means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--epochs", type=int, default=20, help="at most, of a trunk")
    parser.add_argument("--folder", type=Path, default=Path(".equipoise/trunk_kuairand"))
    asked = parser.parse_args()
    if not (shared_data() / "KuaiRand-Pure").is_dir():
        print(f"KuaiRand-Pure is not in {shared_data()}: nothing is measured. Name its folder in {SHARED}")
        return
    if not (asked.folder / "logs").is_dir():
        LOGGED["kuairand"].write_logs(asked.folder / "logs" / "short_video")
    found: dict[tuple[str, str], list[HeadModels]] = {}
    for seed, ids in product(range(asked.seeds), IDS):
        workspace = declare_trunk(asked.folder, seed=seed, epochs=asked.epochs, **IDS[ids])
        for task, models in compare(workspace).items():
            found.setdefault((ids, task), []).append(models)
            print(f"seed {seed}  {ids:<8}{spell(task, [models])}  {_rise(models)}", flush=True)
    for (ids, task), seeds in found.items():
        print(f"mean    {ids:<8}{spell(task, seeds)}")
    rises = [rise_of_best(models) for seeds in found.values() for models in seeds]
    worse = sum(rise.low > 0 for rise in rises)
    better = sum(rise.high < 0 for rise in rises)
    print(f"best against trees at 95 %: worse in {worse} of {len(rises)}, better in {better}")


def declare_trunk(home: Path, **trunk: Any) -> Workspace:
    """Write the contracts of ``short_video`` with a trunk of the four tasks."""
    folder = home / "surfaces" / "short_video"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "surfaces" / "short_video", folder)
    plain = read_yaml(folder / "surface.yaml")
    plain["trunks"] = {"feed": {"tasks": list(TASKS), **trunk}}
    plain["models"] = {"default": "trees", **dict.fromkeys(TASKS, "best")}
    (folder / "surface.yaml").write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return Workspace.open("short_video", surfaces=home / "surfaces", home=home)


def compare(workspace: Workspace) -> dict[str, HeadModels]:
    """Label, train and calibrate; return what was chosen of each task and what was measured."""
    snapshot = labels.run(workspace, as_of=_AS_OF).snapshot
    validation.run(workspace, as_of=_AS_OF, snapshot=snapshot)
    trunk = trunk_step.run(workspace, trunk="feed", as_of=_AS_OF, snapshot=snapshot)
    return {task: _calibrate(workspace, task, snapshot, trunk.version) for task in TASKS}


def _calibrate(workspace: Workspace, task: str, snapshot: str, trunk: int) -> HeadModels:
    rows = TaskRows.open(workspace, task=task, as_of=_AS_OF, snapshot=snapshot)
    done = calibration.calibrate(rows, model_version=training.train(rows).version, trunk_version=trunk)
    models = workspace.store.runs.read_evidence(done.run_id, CalibrationEvidence).models
    if models is None:
        raise SystemExit(f"{task} was calibrated without the trunk")
    return models


def rise_of_best(models: HeadModels) -> Estimate:
    """Return the rise of the chosen model against the trees on the test days."""
    return models.estimate(models.model, rise=True) or NO_RISE


def spell(task: str, seeds: Sequence[HeadModels]) -> str:
    """Spell the mean normalized entropy of each model and of what was chosen."""

    def mean(choices: Iterable[HeadModel]) -> float:
        found = [one.estimate(model) for one, model in zip(seeds, choices, strict=True)]
        return float(np.mean([estimate.value for estimate in found if estimate]))

    figures: dict[str, float] = {model: mean([model] * len(seeds)) for model in MODELS}
    figures["best"] = mean(one.model for one in seeds)
    return f"{task:<14}" + "  ".join(f"{name} {value:.4f}" for name, value in figures.items())


def _rise(models: HeadModels) -> str:
    rise = rise_of_best(models)
    return f"-> {models.model:<6}{rise.value:+.4f} ({rise.low:+.4f} to {rise.high:+.4f})"


if __name__ == "__main__":
    main()
