"""The arguments and options that more than one command takes, each with its help.

::

    def train(workspace: "Workspace", task: Task, as_of: AsOf, parent_run: ParentRun = None) -> "TrainResult":
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, BadParameter, Option


def parse_instant(text: str) -> datetime:
    """Read an instant that has come, as in 2026-03-01T00:00:00Z."""
    from tasks.stores import workspace
    from tasks.stores.workspace import refuse_future

    instant = workspace.parse_instant(text)
    refuse_future(instant)
    return instant


def parse_day(text: str) -> date:
    """Read a day, as in 2026-03-01."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadParameter(f"'{text}' is not a day. Write it as 2026-03-01") from None


def parse_age(text: str) -> timedelta:
    """Read a duration, as in P30D."""
    from tasks.contracts.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadParameter(str(error)) from None


Surface = Annotated[str, Argument(metavar="SURFACE", help="A folder of contracts below --surfaces.")]
Task = Annotated[str, Argument(metavar="TASK", help="A task of tasks.yaml.")]
Release = Annotated[str, Argument(metavar="REF", help="A version number or an alias.")]

_COMMON = "Options of every command"
_SURFACES = "Folder of the contracts (default: EQUIPOISE_SURFACES, else surfaces)."
_HOME = "Folder of the state (default: EQUIPOISE_HOME, else .equipoise)."
_JSON = "Print one JSON document on stdout and nothing else."
Surfaces = Annotated[Path | None, Option(metavar="DIR", help=_SURFACES, rich_help_panel=_COMMON)]
Home = Annotated[Path | None, Option(metavar="DIR", help=_HOME, rich_help_panel=_COMMON)]
Json = Annotated[bool, Option("--json", help=_JSON, rich_help_panel=_COMMON)]

AsOf = Annotated[datetime, Option(metavar="T", parser=parse_instant, help="An instant, ISO 8601 in UTC.")]
ParentRun = Annotated[str | None, Option(metavar="RUN_ID", help="The MLflow run that this one is nested in.")]
ReleaseOption = Annotated[str, Option("--release", metavar="REF", help="A version number or an alias.")]
EngineOption = Annotated[
    Literal["duckdb", "spark"] | None, Option("--engine", help="In place of the surface's.")
]
Candidates = Annotated[Path, Option("--input", metavar="FILE", help="A Parquet file of candidates.")]
Why = Annotated[str, Option(metavar="TEXT", help="The reason, kept in the audit.")]
By = Annotated[str | None, Option(metavar="NAME", help="Who moves it (default: the user of this session).")]
