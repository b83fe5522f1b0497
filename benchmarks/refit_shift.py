"""How far refits depart from what was tested, on whole logs: ``python -m benchmarks.refit_shift``.

Each surface is retrained as of the end of its logs with ``refit: true`` for its binary tasks; all else is as
shipped. Printed is each refitted task's shift on the shared test days with its 95 % interval, beside what is
allowed and what the gate says, and the positives of the calibrate days: the level of what is served rests on
them, and what chance is allowed to make.

``home_feed`` is the simulated feed, which has no seasons: its shifts are what the draw of the days does.
KuaiRand-Pure is looked for as by ``benchmarks.calibration``, and left out where it is not there.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml
from pydantic import TypeAdapter

from benchmarks.calibrating.logged import LOGGED, ROOT, SHARED, shared_data
from tasks.calibration.choice import CalibrationEvidence
from tasks.contracts.load import read_yaml
from tasks.datasets.world.generate import START, generate
from tasks.evaluation.subjects import Segment, Threshold
from tasks.evaluation.verdicts import Estimate
from tasks.pipeline import RetrainResult, retrain
from tasks.reports.numbers import format_estimate
from tasks.stores.manifest import Role
from tasks.stores.workspace import Workspace

_WORLD_DAYS: Final = 132


@dataclass(frozen=True)
class Log:
    """A surface, the end of its logs, and how they come about."""

    surface: str
    as_of: datetime
    write: Callable[[Path], object]


LOGS: Final[Mapping[str, Log]] = {
    "weekly_circular": Log(
        "weekly_circular", datetime(2018, 1, 2, tzinfo=UTC), LOGGED["weekly_circular"].write_logs
    ),
    "kuairand": Log("short_video", LOGGED["kuairand"].as_of, LOGGED["kuairand"].write_logs),
    "home_feed": Log(
        "home_feed",
        datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=_WORLD_DAYS),
        lambda logs: generate(days=_WORLD_DAYS, requests_per_day=200, seed=1, out=logs),
    ),
}


def main() -> None:
    """Print a table for each surface."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(LOGS), choices=list(LOGS))
    for name in parser.parse_args().sets:
        if name == "kuairand" and not (shared_data() / "KuaiRand-Pure").is_dir():
            print(f"kuairand is left out: no KuaiRand-Pure in {shared_data()}. Name its folder in {SHARED}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            _print(name, *retrained(LOGS[name], Path(folder)))


def retrained(log: Log, home: Path) -> tuple[Workspace, RetrainResult]:
    """Write a surface's logs into a home and retrain it with refits."""
    log.write(home / "logs" / log.surface)
    workspace = Workspace.open(log.surface, surfaces=_refitting(log.surface, home / "surfaces"), home=home)
    return workspace, retrain(workspace, as_of=log.as_of)


def _refitting(surface: str, folder: Path) -> Path:
    """Write the shipped contracts with refits of the binary tasks; return the folder of surfaces."""
    (folder / surface).mkdir(parents=True)
    plain = {file.name: read_yaml(file) for file in sorted((ROOT / "surfaces" / surface).glob("*.yaml"))}
    binary = [task for task, spec in plain["tasks.yaml"]["tasks"].items() if spec.get("kind") != "value"]
    plain["surface.yaml"]["training"] = {task: {"refit": True} for task in binary}
    for name, content in plain.items():
        (folder / surface / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder


def _print(name: str, workspace: Workspace, result: RetrainResult) -> None:
    tested = _calibrated_on(workspace, workspace.releases.tested_version(result.release))
    served = _calibrated_on(workspace, result.release)
    print(f"{name}: shift on the test days, and positives to calibrate on, tested | served")
    for gate in result.gates:
        task, what = gate["subject"].get("task", ""), gate["subject"]["metric"]
        if what == "refit_shift":
            shift = format_estimate(TypeAdapter(Estimate).validate_python(gate["observed"]))
            bound = Threshold(**gate["threshold"])
            print(
                f"  {task:<20}{Segment(**gate['segment'])!s:<22}{shift:<28}{bound!s:<10}{gate['outcome']:<12}"
                f"{tested[task]:>9,} |{served[task]:>9,}"
            )
        elif what == "refit":
            print(f"  {task:<20}{gate['reason']}")


def _calibrated_on(workspace: Workspace, release: int) -> dict[str, int]:
    """Return how many positives each task's map of a release was fitted to."""
    registry = workspace.store.registry
    counted = {}
    for part in workspace.releases.manifest(release).parts:
        if part.role is Role.CALIBRATOR:
            run = registry.run_id(registry.part(part.name, part.version))
            counted[str(part.task)] = workspace.store.runs.read_evidence(run, CalibrationEvidence).positives
    return counted


if __name__ == "__main__":
    main()
