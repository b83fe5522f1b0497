"""``equipoise ...``: parse, call a step, print.

stdout carries the result, as text for people or with ``--json`` as one JSON document; progress and logs go to
stderr. Exit codes: 0 done, 1 a verdict that says no, 2 wrong use, contract or data, 3 a store or service.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from tasks.errors import ContractError, EquipoiseError
from tasks.steps.context import Context, parse_instant

Arguments = argparse.Namespace


class _Parser(argparse.ArgumentParser):
    """Wrong use is one message and exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise ContractError(f"{self.prog}: {message}. See {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s", force=True)
    logging.getLogger("equipoise").setLevel(logging.INFO)
    try:
        arguments = _parser().parse_args(argv)
        result, code = arguments.run(arguments)
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    _show(result, as_json=arguments.json, text=arguments.text)
    return int(code)


def _show(result: Any, *, as_json: bool, text: Callable[[Any], str] | None) -> None:
    plain = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    if as_json:
        print(json.dumps(plain, indent=1, ensure_ascii=False, default=str))
    else:
        print(text(plain) if text else _lines(plain))


def _lines(plain: Any, indent: str = "") -> str:
    """Write plain data as indented lines, short lists on one."""
    if isinstance(plain, dict):
        return "\n".join(_entry(name, value, indent) for name, value in plain.items())
    if isinstance(plain, list):
        return (
            "\n".join(f"{indent}- {_lines(item, indent + '  ').lstrip()}" for item in plain)
            or f"{indent}none"
        )
    return f"{indent}{plain}"


def _entry(name: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{indent}{name}:\n{_lines(value, indent + '  ')}"
    return f"{indent}{name}: {'none' if value in (None, {}, []) else value}"


def _context(arguments: Arguments) -> Context:
    return Context.open(arguments.surface, surfaces=arguments.surfaces, home=arguments.home)


def _check(arguments: Arguments) -> tuple[Any, int]:
    from tasks.contracts import check_surface, surface_names

    root = arguments.surfaces or Path("surfaces")
    names = [arguments.surface] if arguments.surface else surface_names(root)
    checked = [check_surface(root, name) for name in names]
    report = {
        "valid": not any(c.problems for c in checked),
        "problems": [{"surface": c.surface, **p.to_json()} for c in checked for p in c.problems],
        "warnings": [{"surface": c.surface, **p.to_json()} for c in checked for p in c.warnings],
        "digests": {c.surface: dict(c.contracts.digests) for c in checked if c.contracts},
    }
    return report, 0 if report["valid"] else 1


def _import(arguments: Arguments) -> tuple[Any, int]:
    from tasks.adapters.complete_journey import import_complete_journey

    return import_complete_journey(out=arguments.out, source=arguments.source), 0


def _world(arguments: Arguments) -> tuple[Any, int]:
    from tasks.world.generate import generate

    made = generate(
        days=arguments.days,
        requests_per_day=arguments.requests_per_day,
        seed=arguments.seed,
        out=arguments.out,
    )
    return made, 0


def _labels_sql(arguments: Arguments) -> tuple[Any, int]:
    from tasks.labels.compile import contract_log, labels_sql

    contracts = _context(arguments).contracts
    log = contract_log(contracts.surface, contracts.tasks)
    return {"sql": labels_sql(contracts.tasks, None, arguments.dialect, log=log)}, 0


def _labels_build(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import labels

    built = labels.run(
        _context(arguments),
        as_of=arguments.as_of,
        first_day=arguments.first_day,
        last_day=arguments.last_day,
    )
    return built, 0


def _labels_show(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import labels

    return labels.show(_context(arguments), snapshot=arguments.snapshot), 0


def _labels_export(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import labels

    return labels.export(_context(arguments), out=arguments.out, format=arguments.format), 0


def _snapshot(context: Context, arguments: Arguments) -> str:
    from tasks.steps import labels

    return labels.run(context, as_of=arguments.as_of).snapshot


def _validate(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import validate

    context = _context(arguments)
    result = validate.run(context, as_of=arguments.as_of, snapshot=_snapshot(context, arguments))
    return result, 0 if result.success else 1


def _published(arguments: Arguments) -> tuple[Context, str]:
    """Build and validate the labels that a single training step needs."""
    from tasks.errors import GateRefused
    from tasks.steps import validate

    context = _context(arguments)
    snapshot = _snapshot(context, arguments)
    checked = validate.run(context, as_of=arguments.as_of, snapshot=snapshot)
    if not checked.success:
        raise GateRefused(f"The labels failed their suite ({checked.severity}). Report: {checked.report}")
    return context, snapshot


def _train(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import train

    context, snapshot = _published(arguments)
    return train.run(context, task=arguments.task, as_of=arguments.as_of, snapshot=snapshot), 0


def _calibrate(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import calibrate, train

    context, snapshot = _published(arguments)
    common = {"task": arguments.task, "as_of": arguments.as_of, "snapshot": snapshot}
    model = train.run(context, **common)
    return calibrate.run(context, **common, model_version=model.version), 0


def _retrain(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import retrain

    tasks = [task for task in (arguments.tasks or "").split(",") if task]
    result = retrain.run(_context(arguments), as_of=arguments.as_of, tasks=tasks, cadence=arguments.cadence)
    return result, 0 if result.verdict == "promote" else 1


def _simulate(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import release_view, simulate

    context = _context(arguments)
    version = release_view.resolve_release(context, arguments.release)
    policies = tuple(arguments.policy or ())
    result = simulate.run(context, release=version, baseline=arguments.baseline, policies=policies)
    return result, 0


def _shadow(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import release_view, shadow

    context = _context(arguments)
    champion = arguments.champion and release_view.resolve_release(context, arguments.champion)
    result = shadow.run(
        context,
        as_of=arguments.as_of,
        challenger=release_view.resolve_release(context, arguments.challenger),
        champion=champion,
    )
    return result, 0


def _release_list(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import release_view

    return release_view.list_releases(_context(arguments)), 0


def _release_show(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import release_view

    return release_view.show(_context(arguments), arguments.ref), 0


def _release_verify(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import release_view

    result = release_view.verify(_context(arguments), arguments.ref)
    return result, 0 if not result.problems else 1


def _score(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import score

    return score.run(
        _context(arguments), release=arguments.release, source=arguments.input, out=arguments.out
    ), 0


def _explain(arguments: Arguments) -> tuple[Any, int]:
    from tasks.steps import score

    result = score.explain(
        _context(arguments), release=arguments.release, source=arguments.input, request=arguments.request
    )
    return result, 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="equipoise",
        description="Retrain a multi-task, multi-objective ranker and decide whether the result may serve.",
        epilog="example: equipoise retrain weekly_circular --as-of 2018-01-01T00:00:00Z",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _data_commands(commands)
    _label_commands(commands)
    _model_commands(commands)
    _release_commands(commands)
    return parser


def _data_commands(commands: Any) -> None:
    check = _command(
        commands, "check", _check, "Are a surface's contracts valid? Every problem at once.", "home_feed"
    )
    check.add_argument("surface", nargs="?", help="one surface; all of them by default")

    importer = _command(
        commands,
        "import",
        _import,
        "Bring a public data set as log tables.",
        "complete-journey --out logs/weekly",
    )
    importer.add_argument("dataset", choices=["complete-journey"])
    importer.add_argument("--source", type=Path, help="where the data set lies, if not in its package")
    importer.add_argument("--out", type=Path, required=True, help="folder of the log tables")

    world = commands.add_parser("world", help="A simulated feed whose true probabilities are known.")
    generate = _command(
        world.add_subparsers(metavar="COMMAND", required=True),
        "generate",
        _world,
        "Simulate a feed: log tables and truth.",
        "--days 125 --requests-per-day 800 --seed 1 --out logs/home_feed",
    )
    generate.add_argument("--days", type=int, required=True)
    generate.add_argument("--requests-per-day", type=int, required=True)
    generate.add_argument("--seed", type=int, required=True)
    generate.add_argument("--out", type=Path, required=True)


def _label_commands(commands: Any) -> None:
    labels = commands.add_parser("labels", help="Compile, build, show and export labels.")
    verbs = labels.add_subparsers(metavar="COMMAND", required=True)
    sql = _command(
        verbs, "sql", _labels_sql, "The SQL that the contract compiles to.", "home_feed --dialect spark"
    )
    sql.add_argument("surface")
    dialects = ["duckdb", "spark", "postgres", "bigquery", "snowflake"]
    sql.add_argument("--dialect", choices=dialects, default="duckdb")

    build = _command(
        verbs,
        "build",
        _labels_build,
        "Build the labels as of an instant.",
        "home_feed --as-of 2026-05-06T00:00:00Z",
    )
    build.add_argument("surface")
    _as_of(build)
    build.add_argument("--from", dest="first_day", type=_day, metavar="DAY")
    build.add_argument("--to", dest="last_day", type=_day, metavar="DAY")

    show = _command(verbs, "show", _labels_show, "Rows by task and status.", "home_feed")
    show.add_argument("surface")
    show.add_argument("--snapshot", metavar="V")

    export = _command(
        verbs,
        "export",
        _labels_export,
        "The snapshot as one file.",
        "home_feed --out labels.jsonl --format jsonl",
    )
    export.add_argument("surface")
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--format", choices=["parquet", "jsonl"], default="parquet")


def _model_commands(commands: Any) -> None:
    example = "home_feed --as-of 2026-05-06T00:00:00Z"
    validate = _command(commands, "validate", _validate, "Validate the mature labels.", example)
    retrain = _command(commands, "retrain", _retrain, "The whole sequence without Airflow.", example)
    for command in (validate, retrain):
        command.add_argument("surface")
        _as_of(command)
    retrain.add_argument(
        "--tasks", help="train only these, separated by commas; the champion gives the others"
    )
    retrain.add_argument("--cadence", choices=["fast", "slow"], default="fast")

    example = "home_feed click_30m --as-of 2026-05-06T00:00:00Z"
    for name, run, summary in (
        ("train", _train, "Train one task's model."),
        ("calibrate", _calibrate, "Fit one task's calibrator."),
    ):
        command = _command(commands, name, run, summary, example)
        command.add_argument("surface")
        command.add_argument("task")
        _as_of(command)


def _release_commands(commands: Any) -> None:
    simulate = _command(
        commands,
        "simulate",
        _simulate,
        "Policies against the baseline on logged candidates.",
        "home_feed --release 3",
    )
    simulate.add_argument("surface")
    simulate.add_argument("--release", metavar="REF", required=True)
    simulate.add_argument(
        "--policy", type=Path, action="append", metavar="FILE", help="a utility.yaml to compare"
    )
    simulate.add_argument("--baseline", metavar="REF", help="a release; the champion by default")

    shadow = _command(
        commands,
        "shadow",
        _shadow,
        "Champion and challenger on the newest traffic.",
        "home_feed --challenger challenger --as-of 2026-05-06T00:00:00Z",
    )
    shadow.add_argument("surface")
    shadow.add_argument("--challenger", metavar="REF", required=True)
    shadow.add_argument("--champion", metavar="REF")
    _as_of(shadow)

    release = commands.add_parser("release", help="List, show and verify releases.")
    verbs = release.add_subparsers(metavar="COMMAND", required=True)
    listing = _command(verbs, "list", _release_list, "Every release, newest first.", "home_feed")
    listing.add_argument("surface")
    for name, run, summary in (
        ("show", _release_show, "What a release is made of and what its figures are."),
        ("verify", _release_verify, "Check every byte and every pin of a release."),
    ):
        command = _command(verbs, name, run, summary, "home_feed challenger")
        command.add_argument("surface")
        command.add_argument("ref", metavar="REF")

    score = _command(
        commands,
        "score",
        _score,
        "Score candidates with a release.",
        "home_feed --release challenger --input candidates.parquet --out scored.parquet",
    )
    score.add_argument("--out", type=Path, required=True)
    explain = _command(
        commands,
        "explain",
        _explain,
        "Why a request's candidates stand where they stand.",
        "home_feed --release challenger --input candidates.parquet --request r-17",
    )
    explain.add_argument("--request", metavar="ID", required=True)
    for command in (score, explain):
        command.add_argument("surface")
        command.add_argument("--release", metavar="REF", required=True)
        command.add_argument("--input", type=Path, required=True, help="a Parquet file of candidates")


def _command(
    commands: Any,
    name: str,
    run: Callable[[Arguments], tuple[Any, int]],
    summary: str,
    example: str,
    text: Callable[[Any], str] | None = None,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    parser.epilog = f"example: {parser.prog} {example}"
    parser.add_argument(
        "--surfaces", type=Path, metavar="DIR", help="folder of contracts (default: surfaces)"
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="folder of the state (default: .equipoise)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else there")
    parser.set_defaults(run=run, text=text)
    return parser


def _as_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-of", type=parse_instant, required=True, metavar="T", help="instant, ISO 8601 in UTC"
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ContractError(f"'{text}' is no day. Write it as 2026-03-01") from None


if __name__ == "__main__":
    sys.exit(main())
