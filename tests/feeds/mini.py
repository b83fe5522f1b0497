"""The simulated feed with windows of days: retrained whole in seconds, and killed and run again.

::

    world      42 days of home_feed as `world generate` writes them
    AS_OF      after 40 days; a home whose log ends there, as it did on that day
    LATER      after all 42 days

The contracts are those of ``surfaces/home_feed``, changed as data.
"""

import copy
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from tasks.cli import main
from tasks.contracts.load import read_yaml
from tasks.pipeline import RetrainResult, retrain
from tasks.progress import listening
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace
from tests.stores.mlflow_home import new_home
from tests.stores.plain_evidence import read_plain

NAME = "home_feed"
SURFACES = Path(__file__).parents[2] / "surfaces"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, REQUESTS_PER_DAY, SEED = 42, 120, 3
AS_OF = FIRST + timedelta(days=40)
LATER = FIRST + timedelta(days=DAYS)
TASKS = ("click_30m", "purchase_2d", "return_5d", "hide_2d", "satisfied_2d", "dwell_seconds_1d")
BINARY = TASKS[:-1]
TWO = ("click_30m", "hide_2d")

Change = Callable[[dict[str, Any]], None]
Versions = dict[str, list[tuple[int, str]]]


@dataclass(frozen=True)
class Retrained:
    """A retrain that ended, with every version and the releases' aliases as the registry held them then."""

    workspace: Workspace
    result: RetrainResult
    versions: Versions
    aliases: dict[str, int]

    @classmethod
    def run(cls, workspace: Workspace, **how: Any) -> "Retrained":
        result = retrain(workspace, **how)
        aliases = workspace.store.registry.aliases(f"{NAME}.release")
        return cls(workspace, result, versions(workspace), aliases)


@dataclass(frozen=True)
class Killed:
    """A retrain and a promotion, each killed at some moments and then left to its end.

    The exit codes of both, and what the retrain printed.
    """

    workspace: Workspace
    retrained: list[int | None]
    promoted: list[int | None]
    result: dict[str, Any]


def write_contracts(folder: Path) -> Path:
    """Write the short home_feed below a folder of surfaces; return that folder."""
    shutil.copytree(SURFACES / NAME, folder / NAME)
    for kind, change in (("tasks", _short_tasks), ("surface", _short_surface), ("utility", _short_utility)):
        rewrite(folder / NAME / f"{kind}.yaml", change)
    return folder


def changed(workspace: Workspace, folder: Path, **changes: Change) -> Workspace:
    """Return the same home under contracts that were changed, by the file's name."""
    surfaces = Path(shutil.copytree(workspace.surfaces, folder / "surfaces"))
    for kind, change in changes.items():
        rewrite(surfaces / NAME / f"{kind}.yaml", change)
    return Workspace.open(NAME, surfaces=surfaces, home=workspace.home)


def rewrite(file: Path, change: Change) -> None:
    plain = read_yaml(file)
    before = copy.deepcopy(plain)
    change(plain)
    if file.name in {"surface.yaml", "tasks.yaml"} and plain != before:
        plain["version"] = max(plain["version"], before["version"] + 1)
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")


def end_schedule(surface: dict[str, Any]) -> None:
    """Let the schedule have ended, so that no run begins by itself, and look often whether the log is there."""
    surface["until"] = (LATER - timedelta(days=1)).date()
    surface["arrival"] = {"within": "P1D", "deadline": "PT10M", "every": "PT10S"}


def _short_tasks(plain: dict[str, Any]) -> None:
    known = plain["tasks"]
    bought = {"positive": {"event": "purchase", "within": "P2D", "credit": "last_touch"}, "maturity": "P2D"}
    plain["tasks"] = {
        "click_30m": known["click_30m"],
        "purchase_2d": known["purchase_7d"] | bought,
        "return_5d": {
            "family": "negative",
            "description": "sent it back",
            "positive": {"event": "return", "within": "P5D", "after": "purchase_2d"},
            "cadence": "slow",
        },
        "hide_2d": {
            "family": "negative",
            "description": "hid it",
            "positive": {"event": "hide", "within": "P2D"},
        },
        "satisfied_2d": {
            "family": "satisfaction",
            "description": "clicked it and did not hide it",
            "compose": {"all_of": ["click_30m"], "none_of": ["hide_2d"]},
        },
        "dwell_seconds_1d": known["dwell_seconds_1d"],
    }


def _short_surface(plain: dict[str, Any]) -> None:
    plain["promotion"] = {"approvals_on_command_line": True}
    plain["segments"] = ["user_tenure", {"name": "item_age", "from": "item_age_days", "bins": [7, 30]}]
    plain["split"] = {"train": "P10D", "early_stop": 0.1, "calibrate": "P4D", "test": "P4D"}
    plain["minimum"] = {"train": "P7D", "positives": 5}
    plain["lightgbm"] = {
        "default": {"num_leaves": 7, "learning_rate": 0.2, "rounds": 20, "min_data_in_leaf": 100},
        "return_5d": {"num_leaves": 3, "rounds": 5, "min_data_in_leaf": 20},
    }
    plain["proxies"] = [
        {"fast": "click_30m", "slow": "satisfied_2d"},
        {"fast": "purchase_2d", "slow": "return_5d"},
    ]
    plain["base_rates"] = {"click_30m": [0.05, 0.2], "dwell_seconds_1d": [3, 20]}
    plain["gates"] = {
        "data": {"rows": 100, "positives": 5, "severity": "critical"},
        "model": {"auc_drop_max": 0.05, "normalized_entropy_rise_max": 0.1, "first": {"auc_min": 0.5}},
        "calibration": {"ratio": [0.5, 2.0], "by": ["user_tenure"]},
        "decision": {"first": "logged"},
        "shadow": {"overlap_at_k_min": 0.3, "score_shift_max": 0.9},
        "freshness": {"newest_training_row": "P60D"},
        "inconclusive": "warn",
    }


def _short_utility(plain: dict[str, Any]) -> None:
    plain["weights"] = {
        "click_30m": 0.8,
        "purchase_2d": {"weight": 10.0, "times": "margin"},
        "satisfied_2d": 1.5,
        "return_5d": -6.0,
        "hide_2d": -5.0,
    }
    plain["contexts"] = [
        {"name": "new_users", "when": {"user_tenure": ["new"]}, "weights": {"hide_2d": -10.0}}
    ]
    plain["primary"] = {
        "metric": "observed_utility",
        "relative_decrease_max": 0.6,
    }  # 240 requests tell little
    plain["guardrails"] = [
        {"metric": "hide_2d_rate", "relative_increase_max": 2.0, "action": "block"},
        {
            "metric": "hide_2d_predicted",
            "relative_increase_max": 1.0,
            "by": ["user_tenure"],
            "action": "block",
        },
        {"metric": "return_5d_predicted", "max": 0.05, "action": "block"},
    ]


def two_tasks(plain: dict[str, Any]) -> None:
    """Leave clicks and hides of the tasks."""
    plain["tasks"] = {task: plain["tasks"][task] for task in TWO}


def surface_of_two(plain: dict[str, Any]) -> None:
    """Leave what the surface says of clicks and hides, and one kind of segments."""
    plain["lightgbm"].pop("return_5d")
    plain["base_rates"].pop("dwell_seconds_1d")
    plain["segments"], plain["proxies"] = ["user_tenure"], []


def surface_with_trunk(plain: dict[str, Any]) -> None:
    """Let clicks and hides share a trunk: it predicts clicks alone, and hides blended with their trees."""
    surface_of_two(plain)
    plain["engine"] = {"threads": 1}  # fixed by the first training of a process, and tests share theirs
    plain["trunks"] = {
        "feed": {
            "tasks": [*TWO],
            "experts": 2,
            "layers": [8],
            "ids": {"user_id": 4},
            "epochs": 2,
            "batch": 512,
        }
    }
    plain["models"] = {"click_30m": "trunk", "hide_2d": "blend"}


def utility_of_two(plain: dict[str, Any]) -> None:
    """Leave what clicks and hides are worth, and the guardrails of hides."""
    plain["weights"] = {task: plain["weights"][task] for task in TWO}
    plain["guardrails"] = plain["guardrails"][:2]


def with_log(surfaces: Path, world: Path, folder: Path, *, days: int = 40) -> Workspace:
    """Return a new home whose log ends after some days."""
    home = new_home(folder / "home")
    write_log_until(world, home / "logs" / NAME, FIRST + timedelta(days=days))
    return Workspace.open(NAME, surfaces=surfaces, home=home)


def write_log_until(
    world: Path,
    logs: Path,
    instant: datetime,
    *,
    tables: Sequence[str] = ("impressions", "candidates", "events"),
) -> None:
    """Write the log as it was at an instant: no later request, no event that had not arrived."""
    for table in tables:
        (logs / table).mkdir(parents=True)
        for file in sorted((world / table).glob("*.parquet")):
            rows = pq.read_table(file)
            for at in ("shown_at", "happened_at", "ingested_at"):
                if at in rows.column_names:
                    known = pc.less(rows.column(at), pa.scalar(instant))
                    rows = rows.filter(pc.fill_null(known, True))
            if rows.num_rows:
                pq.write_table(rows, logs / table / file.name)


def versions(workspace: Workspace) -> Versions:
    """Return every registered version with the digest of its bytes, by model."""
    registry = workspace.store.registry
    names = [model.name for model in registry.client.search_registered_models(max_results=1000)]
    return {name: [(part.version, part.sha256) for part in registry.versions(name)] for name in sorted(names)}


def set_champion(workspace: Workspace, version: int) -> None:
    """Let a release be the champion, by a move that the audit holds."""
    entry = Entry(Kind.PROMOTE, "ana", version, None, "the first champion", "of no evidence")
    workspace.aliases.add(lambda entries, aliases: None if entries else entry)


def step_runs(workspace: Workspace, step: str, **tags: object) -> list[str]:
    """Return a step's finished runs that carry these tags, oldest first."""
    client = workspace.store.registry.client
    experiment = client.get_experiment_by_name(NAME).experiment_id
    wanted = [f"tags.{name} = '{value}'" for name, value in ({"step": step} | tags).items()]
    found = client.search_runs(
        [experiment],
        " and ".join([*wanted, "attributes.status = 'FINISHED'"]),
        order_by=["attributes.start_time ASC"],
    )
    return [run.info.run_id for run in found]


def first_evidence(workspace: Workspace, step: str, **tags: object) -> dict[str, Any]:
    """Return what the oldest of a step's finished runs rests on."""
    evidence: dict[str, Any] = read_plain(workspace.home, step_runs(workspace, step, **tags)[0])
    return evidence


def version_2(plain: dict[str, Any]) -> None:
    """Change a utility policy's content and raise its version."""
    plain["version"] = 2
    plain["weights"]["click_30m"] = 1.6


def lighter_hides(plain: dict[str, Any]) -> None:
    """Change a utility policy's content and not its version."""
    plain["weights"]["hide_2d"] = -0.5


def retrain_and_promote_killed(workspace: Workspace, folder: Path, *, seed: int) -> Killed:
    """Retrain, killed without warning at seven moments, then promote, killed at three; each then ends.

    The moments are drawn by seed: a step of the program as it reports it, and how far into the step.
    """
    draw = np.random.default_rng(seed)
    steps = sorted(int(step) for step in draw.choice(np.arange(1, 17), 7, replace=False))
    retraining = [(f"[{step}/", draw.uniform(0, 0.6)) for step in steps]
    promoting = [
        ("comparing the files", draw.uniform(0, 0.3)),
        ("evaluating the gates", draw.uniform(0, 0.2)),
    ]
    promoting += [("moving the champion", draw.uniform(0, 0.03))]
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    retrain_words = ["retrain", NAME, "--as-of", AS_OF.isoformat(), "--json", *where]
    promote_words = ["promote", NAME, "1", "--why", "the first", "--by", "ana", "--json", *where]
    retrained = run_killed(retrain_words, retraining, folder / "retrain")
    promoted = run_killed(promote_words, promoting, folder / "promote")
    result = json.loads((folder / "retrain" / "result.json").read_text(encoding="utf-8"))
    return Killed(workspace, retrained, promoted, result)


def run_killed(words: list[str], moments: Sequence[tuple[str, float]], folder: Path) -> list[int | None]:
    """Run the program once for each moment, killed some seconds after it said a text, then to the end.

    One server imports the program once and forks the processes that are killed.
    """
    folder.mkdir()
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["tests.feeds.every_step"])
    ends: list[int | None] = []
    for number, moment in enumerate((*moments, None)):
        log = folder / f"said-{number}.txt"
        process = start.Process(target=_run, args=(words, folder / "result.json", log))
        process.start()
        if moment is not None:
            _wait_for(moment[0], log, while_alive=process.is_alive)
            time.sleep(moment[1])
            process.kill()
        process.join()
        ends.append(process.exitcode)
    assert ends[-1] == 0, log.read_text(encoding="utf-8")
    return ends


def _run(words: list[str], out: Path, log: Path) -> None:
    """Run the program as a process of its own would, with stdout and stderr in files."""
    # locks of this method have no name, so a killed process leaves none behind
    multiprocessing.set_start_method("fork", force=True)
    for descriptor, file in ((1, out), (2, log)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    begun: list[tuple[str, ...]] = []

    def tell(step: tuple[str, ...], _: float) -> None:
        own = step[:2] if step[0] in {"train", "calibrate"} else step[:1]
        if own not in begun:
            begun.append(own)
            sys.stderr.write(f"[{len(begun)}/ {' '.join(own)}\n")

    with listening(tell):
        sys.exit(main(words))


def _wait_for(text: str, log: Path, *, while_alive: Callable[[], bool]) -> None:
    while while_alive() and not (log.exists() and text in log.read_text(encoding="utf-8")):
        time.sleep(0.02)
