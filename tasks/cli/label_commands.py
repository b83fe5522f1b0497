"""Commands on labels: compile, build, show, explain, compare, export and vacuum."""

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from tasks.cli import label_text, text
from tasks.cli.command import Group
from tasks.cli.options import AsOf, EngineOption, FileToWrite, parse_age, parse_day

if TYPE_CHECKING:
    from tasks.labels.build import LabelsResult
    from tasks.labels.compare import Difference
    from tasks.labels.explain import ExplainResult
    from tasks.labels.export import ExportResult
    from tasks.labels.show import ShowResult
    from tasks.labels.vacuum import VacuumResult
    from tasks.stores.workspace import Workspace

_labels = Group("Data and labels", word="labels", help="Build, show, explain, compare and export labels.")
GROUPS = (_labels,)

_Dialect = Literal["duckdb", "spark", "postgres", "bigquery", "snowflake"]
_Age = Annotated[
    timedelta | None,
    Option(metavar="AGE", parser=parse_age, help="Builds younger than this stay (default: P30D)."),
]
_Impression = Annotated[str, Option(metavar="REQUEST_ID/ITEM_ID", help="An item id's own slash is %2F.")]
_Snapshot = Annotated[str | None, Option(metavar="V", help="A snapshot (default: the newest build's).")]


@_labels.command("home_feed --dialect spark", written=text.write_sql)
def sql(workspace: "Workspace", dialect: _Dialect = "duckdb") -> dict[str, str]:
    """Print the SQL that the contract compiles to."""
    from tasks.labels.compile import labels_script

    return {"sql": labels_script(workspace.contracts, dialect)}


@_labels.command("home_feed --as-of 2026-05-13T00:00:00Z")
def build(
    workspace: "Workspace",
    as_of: AsOf,
    first_day: Annotated[date | None, Option("--from", metavar="DAY", parser=parse_day)] = None,
    last_day: Annotated[date | None, Option("--to", metavar="DAY", parser=parse_day)] = None,
    engine: EngineOption = None,
) -> "LabelsResult":
    """Build the labels as of an instant."""
    from tasks.labels import build

    return build.run(replace(workspace, engine=engine), as_of=as_of, first_day=first_day, last_day=last_day)


@_labels.command("home_feed", written=label_text.write_counts)
def show(workspace: "Workspace", snapshot: _Snapshot = None) -> "ShowResult":
    """Count rows by task and status."""
    from tasks.labels.show import show

    return show(workspace, snapshot=snapshot)


@_labels.command("home_feed --impression r20260301-000007/3021", written=label_text.write_explanation)
def explain(
    workspace: "Workspace",
    impression: _Impression,
    snapshot: _Snapshot = None,
) -> "ExplainResult":
    """Explain why one impression's labels are what they are."""
    from tasks.labels.explain import explain

    return explain(workspace, impression=impression, snapshot=snapshot)


@_labels.command("home_feed --from 3fe1fbbb46ac1f91 --to 12c7569d19267e6b", written=label_text.write_changes)
def diff(
    workspace: "Workspace",
    before: Annotated[str, Option("--from", metavar="V1", help="A snapshot.")],
    after: Annotated[str, Option("--to", metavar="V2", help="A snapshot.")],
) -> "Difference":
    """Count what changed between two snapshots, by task, day and status."""
    from tasks.labels.compare import diff

    return diff(workspace, before=before, after=after)


@_labels.command("home_feed --out labels.jsonl --format jsonl")
def export(
    workspace: "Workspace",
    out: FileToWrite,
    file_format: Annotated[Literal["parquet", "jsonl"], Option("--format")] = "parquet",
) -> "ExportResult":
    """Write the snapshot as one file."""
    from tasks.labels.export import export

    return export(workspace, out=out, format=file_format)


@_labels.command("home_feed --keep P30D --dry-run")
def vacuum(
    workspace: "Workspace",
    keep: _Age = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> "VacuumResult":
    """Delete label files that no release pins and no recent build uses."""
    from tasks.labels.vacuum import KEEP, vacuum

    return vacuum(workspace, keep=keep or KEEP, dry_run=dry_run)
