"""What can be typed: every command with its arguments, its help and an example."""

import argparse
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NoReturn

from tasks.cli import commands, label_text, text
from tasks.cli.commands import Answer, Arguments
from tasks.contracts.durations import parse_duration
from tasks.errors import ContractError
from tasks.location import locate
from tasks.steps.context import parse_instant


class _Parser(argparse.ArgumentParser):
    """Wrong use is one message and exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise ContractError(f"{self.prog}: {message}. See {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole program."""
    parser = _Parser(
        prog="equipoise",
        description="Retrain a multi-task, multi-objective ranker and decide whether the result may serve.",
        epilog="example: equipoise retrain weekly_circular --as-of 2018-01-01T00:00:00Z",
    )
    root = parser.add_subparsers(metavar="COMMAND", required=True)
    _data_commands(root)
    _label_commands(root)
    _model_commands(root)
    _rehearsal_commands(root)
    _release_commands(root)
    _move_commands(root)
    _scoring_commands(root)
    return parser


def _data_commands(root: Any) -> None:
    check = _command(
        root,
        "check",
        commands.check,
        "Are a surface's contracts valid? Every problem at once.",
        "home_feed",
        text.checked,
    )
    check.add_argument("surface", nargs="?", help="one surface; all of them by default")

    importer = _command(
        root,
        "import",
        commands.import_data,
        "Bring a public data set as log tables.",
        "complete-journey --out logs/weekly",
    )
    importer.add_argument("dataset", choices=["complete-journey", "kuairand"])
    importer.add_argument("--source", type=Path, help="where the data set lies, if not in its package")
    importer.add_argument("--out", type=Path, required=True, help="folder of the log tables")

    world = root.add_parser("world", help="A simulated feed whose true probabilities are known.")
    generate = _command(
        world.add_subparsers(metavar="COMMAND", required=True),
        "generate",
        commands.world,
        "Simulate a feed: log tables and truth.",
        "--days 125 --requests-per-day 800 --seed 1 --out logs/home_feed",
    )
    generate.add_argument("--days", type=int, required=True)
    generate.add_argument("--requests-per-day", type=int, required=True)
    generate.add_argument("--seed", type=int, required=True)
    generate.add_argument("--out", type=locate, required=True, help="a folder, or s3://bucket/prefix")


def _label_commands(root: Any) -> None:
    labels = root.add_parser("labels", help="Compile, build, show, explain, compare and export labels.")
    verbs = labels.add_subparsers(metavar="COMMAND", required=True)
    sql = _command(
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

    build = _command(
        verbs,
        "build",
        commands.labels_build,
        "Build the labels as of an instant.",
        "home_feed --as-of 2026-05-06T00:00:00Z",
    )
    build.add_argument("surface")
    _as_of(build)
    build.add_argument("--from", dest="first_day", type=_day, metavar="DAY")
    build.add_argument("--to", dest="last_day", type=_day, metavar="DAY")
    build.add_argument("--engine", choices=["duckdb", "spark"], help="in place of the surface's own")

    show = _command(
        verbs, "show", commands.labels_show, "Rows by task and status.", "home_feed", label_text.counted
    )
    show.add_argument("surface")
    show.add_argument("--snapshot", metavar="V")

    explain = _command(
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

    diff = _command(
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

    export = _command(
        verbs,
        "export",
        commands.labels_export,
        "The snapshot as one file.",
        "home_feed --out labels.jsonl --format jsonl",
    )
    export.add_argument("surface")
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--format", choices=["parquet", "jsonl"], default="parquet")

    vacuum = _command(
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


def _model_commands(root: Any) -> None:
    example = "home_feed --as-of 2026-05-06T00:00:00Z"
    validate = _command(root, "validate", commands.validate, "Validate the mature labels.", example)
    retrain = _command(
        root, "retrain", commands.retrain, "The whole sequence without Airflow.", example, text.judged
    )
    for command in (validate, retrain):
        command.add_argument("surface")
        _as_of(command)
    retrain.add_argument(
        "--tasks", help="train only these, separated by commas; the champion gives the others"
    )
    retrain.add_argument("--cadence", choices=["fast", "slow"], default="fast")
    _parent_run(retrain)

    example = "home_feed click_30m --as-of 2026-05-06T00:00:00Z"
    for name, run, summary in (
        ("train", commands.train, "Train one task's model."),
        ("calibrate", commands.calibrate, "Fit one task's calibrator."),
    ):
        command = _command(root, name, run, summary, example)
        command.add_argument("surface")
        command.add_argument("task")
        _as_of(command)
        command.add_argument(
            "--snapshot", metavar="V", help="published labels; by default they are built and validated"
        )
        _parent_run(command)
        if name == "calibrate":
            command.add_argument(
                "--model-version", type=int, metavar="N", help="by default the model is trained"
            )


def _rehearsal_commands(root: Any) -> None:
    simulate = _command(
        root,
        "simulate",
        commands.simulate,
        "Policies against the baseline on logged candidates.",
        "home_feed --release 3",
    )
    simulate.add_argument("surface")
    simulate.add_argument("--release", metavar="REF", required=True)
    simulate.add_argument(
        "--policy", type=Path, action="append", metavar="FILE", help="a utility.yaml to compare"
    )
    simulate.add_argument("--baseline", metavar="REF", help="a release; the champion by default")
    _parent_run(simulate)

    shadow = _command(
        root,
        "shadow",
        commands.shadow,
        "Champion and challenger on the newest traffic.",
        "home_feed --challenger challenger --as-of 2026-05-06T00:00:00Z",
    )
    shadow.add_argument("surface")
    shadow.add_argument("--challenger", metavar="REF", required=True)
    shadow.add_argument("--champion", metavar="REF")
    _as_of(shadow)
    _parent_run(shadow)


def _release_commands(root: Any) -> None:
    release = root.add_parser("release", help="List, show and verify releases, and who moved them.")
    verbs = release.add_subparsers(metavar="COMMAND", required=True)
    listing = _command(verbs, "list", commands.release_list, "Every release, newest first.", "home_feed")
    history = _command(
        verbs,
        "history",
        commands.release_history,
        "Every move of the champion and every answer of a reviewer, oldest first.",
        "home_feed",
        text.history,
    )
    for command in (listing, history):
        command.add_argument("surface")
    for name, run, summary in (
        ("show", commands.release_show, "What a release is made of and what its figures are."),
        ("verify", commands.release_verify, "Check every byte and every pin of a release."),
    ):
        written = text.release if name == "show" else text.lines
        command = _command(verbs, name, run, summary, "home_feed challenger", written)
        command.add_argument("surface")
        command.add_argument("ref", metavar="REF")


def _move_commands(root: Any) -> None:
    promote = _command(
        root,
        "promote",
        commands.promote,
        "Let a release be the champion, where its gates allow it.",
        'home_feed challenger --why "carts rose in the July test" --experiment feed-142',
        text.moved,
    )
    promote.add_argument("surface")
    promote.add_argument("ref", metavar="REF")
    promote.add_argument(
        "--experiment", metavar="REF", help="the online test that supports changed tasks or policies"
    )
    promote.add_argument("--waiver", metavar="WHY", help="why no online test supports them")

    rollback = _command(
        root,
        "rollback",
        commands.rollback,
        "Let the previous champion be the champion again.",
        'home_feed --why "returns rose"',
        text.moved,
    )
    rollback.add_argument("surface")
    rollback.add_argument("--to", metavar="REF", help="another release that was champion before")
    for command in (promote, rollback):
        command.add_argument("--why", required=True, metavar="TEXT", help="the reason, kept in the audit")
        command.add_argument("--by", metavar="NAME", help="who moves it (default: the user of this session)")


def _scoring_commands(root: Any) -> None:
    score = _command(
        root,
        "score",
        commands.score,
        "Score candidates with a release.",
        "home_feed --release challenger --input candidates.parquet --out scored.parquet",
    )
    score.add_argument("--out", type=Path, required=True)
    explain = _command(
        root,
        "explain",
        commands.explain,
        "Why a request's candidates stand where they stand.",
        "home_feed --release challenger --input candidates.parquet --request r-17",
    )
    explain.add_argument("--request", metavar="ID", required=True)
    for command in (score, explain):
        command.add_argument("surface")
        command.add_argument("--release", metavar="REF", required=True)
        command.add_argument("--input", type=Path, required=True, help="a Parquet file of candidates")


def _command(
    root: Any,
    name: str,
    run: Callable[[Arguments], Answer],
    summary: str,
    example: str,
    written: Callable[[Any], str] = text.lines,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = root.add_parser(name, help=summary, description=summary)
    parser.epilog = f"example: {parser.prog} {example}"
    parser.add_argument(
        "--surfaces", type=Path, metavar="DIR", help="folder of contracts (default: surfaces)"
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="folder of the state (default: .equipoise)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else there")
    parser.set_defaults(run=run, written=written)
    return parser


def _as_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-of", type=parse_instant, required=True, metavar="T", help="instant, ISO 8601 in UTC"
    )


def _parent_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parent-run", metavar="RUN_ID", help="the MLflow run that this one belongs under")


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
