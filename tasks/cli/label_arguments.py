"""The commands on labels, with their arguments."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tasks.cli import commands, label_text, text
from tasks.cli.command import add_as_of, add_command
from tasks.contracts.durations import parse_duration
from tasks.errors import ContractError


def add_label_commands(root: Any) -> None:
    """Add ``labels`` and its commands."""
    labels = root.add_parser("labels", help="Compile, build, show, explain, compare and export labels.")
    verbs = labels.add_subparsers(metavar="COMMAND", required=True)
    _add_making(verbs)
    _add_reading(verbs)
    _add_keeping(verbs)


def _add_making(verbs: Any) -> None:
    sql = add_command(
        verbs,
        "sql",
        commands.labels_sql,
        "The SQL that the contract compiles to.",
        "home_feed --dialect spark",
        written=text.sql,
    )
    sql.add_argument("surface")
    dialects = ["duckdb", "spark", "postgres", "bigquery", "snowflake"]
    sql.add_argument("--dialect", choices=dialects, default="duckdb")

    build = add_command(
        verbs,
        "build",
        commands.labels_build,
        "Build the labels as of an instant.",
        "home_feed --as-of 2026-05-06T00:00:00Z",
    )
    build.add_argument("surface")
    add_as_of(build)
    build.add_argument("--from", dest="first_day", type=_day, metavar="DAY")
    build.add_argument("--to", dest="last_day", type=_day, metavar="DAY")
    build.add_argument("--engine", choices=["duckdb", "spark"], help="in place of the surface's own")


def _add_reading(verbs: Any) -> None:
    show = add_command(
        verbs, "show", commands.labels_show, "Rows by task and status.", "home_feed", label_text.counted
    )
    show.add_argument("surface")
    show.add_argument("--snapshot", metavar="V")

    explain = add_command(
        verbs,
        "explain",
        commands.labels_explain,
        "Why one impression's labels are what they are.",
        "home_feed --impression r20260301-000007/3021",
        label_text.explained,
    )
    explain.add_argument("surface")
    explain.add_argument(
        "--impression",
        metavar="REQUEST_ID/ITEM_ID",
        required=True,
        help="the last slash divides; %%2F is a slash inside an item id",
    )
    explain.add_argument("--snapshot", metavar="V", help="by default that of the newest build")

    diff = add_command(
        verbs,
        "diff",
        commands.labels_diff,
        "What changed between two snapshots, by task, day and status.",
        "home_feed --from 3fe1fbbb46ac1f91 --to 12c7569d19267e6b",
        label_text.differing,
    )
    diff.add_argument("surface")
    diff.add_argument("--from", dest="before", metavar="V1", required=True, help="a snapshot")
    diff.add_argument("--to", dest="after", metavar="V2", required=True, help="a snapshot")


def _add_keeping(verbs: Any) -> None:
    export = add_command(
        verbs,
        "export",
        commands.labels_export,
        "The snapshot as one file.",
        "home_feed --out labels.jsonl --format jsonl",
    )
    export.add_argument("surface")
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--format", choices=["parquet", "jsonl"], default="parquet")

    vacuum = add_command(
        verbs,
        "vacuum",
        commands.labels_vacuum,
        "Sweep the label store of what no release pins and no recent build is made of.",
        "home_feed --keep P30D --dry-run",
    )
    vacuum.add_argument("surface")
    vacuum.add_argument(
        "--keep", type=_age, default="P30D", metavar="AGE", help="builds younger than this stay"
    )
    vacuum.add_argument("--dry-run", action="store_true", help="only say what would go")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ContractError(f"'{text}' is no day. Write it as 2026-03-01") from None


def _age(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ContractError(f"--keep: {error}") from None
