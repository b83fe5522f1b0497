"""What can be typed: every command with its arguments, its help and an example."""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from tasks.cli import commands, explain_text, text
from tasks.cli.command import add_as_of, add_command, add_parent_run
from tasks.cli.label_arguments import add_label_commands
from tasks.errors import ContractError
from tasks.stores.location import locate


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
    add_label_commands(root)
    _model_commands(root)
    _rehearsal_commands(root)
    _release_commands(root)
    _move_commands(root)
    _scoring_commands(root)
    return parser


def _data_commands(root: Any) -> None:
    check = add_command(
        root,
        "check",
        commands.check,
        "Are a surface's contracts valid? Every problem at once.",
        "home_feed",
        text.checked,
    )
    check.add_argument("surface", nargs="?", help="one surface; all of them by default")

    importer = add_command(
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
    generate = add_command(
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


def _model_commands(root: Any) -> None:
    example = "home_feed --as-of 2026-05-06T00:00:00Z"
    validate = add_command(root, "validate", commands.validate, "Validate the mature labels.", example)
    retrain = add_command(
        root, "retrain", commands.retrain, "The whole sequence without Airflow.", example, text.judged
    )
    for command in (validate, retrain):
        command.add_argument("surface")
        add_as_of(command)
    retrain.add_argument(
        "--tasks", help="train only these, separated by commas; the champion gives the others"
    )
    retrain.add_argument("--cadence", choices=["fast", "slow"], default="fast")
    add_parent_run(retrain)

    example = "home_feed click_30m --as-of 2026-05-06T00:00:00Z"
    for name, run, summary in (
        ("train", commands.train, "Train one task's model."),
        ("calibrate", commands.calibrate, "Fit one task's calibrator."),
    ):
        command = add_command(root, name, run, summary, example)
        command.add_argument("surface")
        command.add_argument("task")
        add_as_of(command)
        command.add_argument(
            "--snapshot", metavar="V", help="published labels; by default they are built and validated"
        )
        add_parent_run(command)
        if name == "calibrate":
            command.add_argument(
                "--model-version", type=int, metavar="N", help="by default the model is trained"
            )


def _rehearsal_commands(root: Any) -> None:
    simulate = add_command(
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
    add_parent_run(simulate)

    shadow = add_command(
        root,
        "shadow",
        commands.shadow,
        "Champion and challenger on the newest traffic.",
        "home_feed --challenger challenger --as-of 2026-05-06T00:00:00Z",
    )
    shadow.add_argument("surface")
    shadow.add_argument("--challenger", metavar="REF", required=True)
    shadow.add_argument("--champion", metavar="REF")
    add_as_of(shadow)
    add_parent_run(shadow)


def _release_commands(root: Any) -> None:
    release = root.add_parser("release", help="List, show and verify releases, and who moved them.")
    verbs = release.add_subparsers(metavar="COMMAND", required=True)
    listing = add_command(verbs, "list", commands.release_list, "Every release, newest first.", "home_feed")
    history = add_command(
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
        command = add_command(verbs, name, run, summary, "home_feed challenger", written)
        command.add_argument("surface")
        command.add_argument("ref", metavar="REF")


def _move_commands(root: Any) -> None:
    promote = add_command(
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

    rollback = add_command(
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
    score = add_command(
        root,
        "score",
        commands.score,
        "Score candidates with a release.",
        "home_feed --release challenger --input candidates.parquet --out scored.parquet",
    )
    score.add_argument("--out", type=Path, required=True)
    explain = add_command(
        root,
        "explain",
        commands.explain,
        "Why a request's candidates stand where they stand.",
        "home_feed --release challenger --input candidates.parquet --request r-17",
        explain_text.explained,
    )
    explain.add_argument("--request", metavar="ID", required=True)
    for command in (score, explain):
        command.add_argument("surface")
        command.add_argument("--release", metavar="REF", required=True)
        command.add_argument("--input", type=Path, required=True, help="a Parquet file of candidates")
