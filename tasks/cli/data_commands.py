"""Commands on contracts and log tables: check, draft a surface, import, and generate a feed."""

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from rich.console import RenderableType, group
from rich.text import Text
from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import CommandGroup, Home, Surfaces, parse_folder_to_write, parse_place_to_write
from tasks.cli.policy_commands import write_diff
from tasks.errors import ContractError, DataError, UsageError
from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.contracts import Contracts
    from tasks.contracts.revisions import ContractChange, Revision
    from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class InitResult:
    """The written files, the folder of the log, and the next commands."""

    surface: str
    files: list[str]
    logs: str
    next: list[str]


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Parse the ``NAME=COLUMN`` of each option."""
    pairs = dict(text.split("=", maxsplit=1) for text in texts if "=" in text)
    if len(pairs) != len(texts):
        raise UsageError("Write --column NAME=COLUMN, as in --column shown_at=ts")
    return pairs


def draft_surface(
    workspace: "Workspace", tables: Mapping[str, Path], columns: Mapping[str, str], start: str | None
) -> InitResult:
    """Draft a surface's contracts, check them with the log, and write them."""
    from tasks.contracts import load_surface
    from tasks.contracts.base import require_name
    from tasks.contracts.draft import draft_contracts
    from tasks.logs.sketch import locate_sources, sketch_log
    from tasks.stores.files import scratch

    name, folder = workspace.surface, workspace.surfaces / workspace.surface
    require_name(name)
    if os.path.lexists(folder):  # a broken link exists too
        raise ContractError(f"{folder} already exists: choose another name, or move it away")
    if not isinstance(workspace.logs, Path):
        raise ContractError("init reads local files: unset EQUIPOISE_LOGS")
    begun = None if start is None else load_surface(workspace.surfaces, start)
    logs, sources = locate_sources(tables, logs=workspace.logs)
    sketch = sketch_log(logs, sources, columns, home=workspace.home)
    texts = draft_contracts(name, sketch, owner=_owner(), start=begun)
    with scratch(workspace.surfaces, ".init-") as aside:
        drafted = aside / name
        drafted.mkdir()
        for file, text in texts.items():
            (drafted / file).write_text(text, encoding="utf-8")
        _require_valid(drafted, logs)
        drafted.rename(folder)
    # the midnight after the log's last day is the as-of
    as_of = f"{sketch.last + timedelta(days=1)}T00:00:00Z"
    export = [] if logs == workspace.logs else [f"export EQUIPOISE_LOGS={shlex.quote(str(logs))}"]
    verbs = (f"check {workspace.surface}", f"plan {workspace.surface} --as-of {as_of}")
    return InitResult(
        name,
        [str(folder / file) for file in texts],
        str(logs),
        [*export, *(f"equipoise {verb}" for verb in verbs)],
    )


def _owner() -> str:
    try:
        user = getuser()
    except (OSError, KeyError):
        return "somebody"
    return user if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.@+-]{0,99}", user) else "somebody"


def _require_valid(drafted: Path, logs: Path) -> None:
    """Raise if `check` would find problems in a draft."""
    from tasks.contracts import check_surface
    from tasks.logs.schema_fit import find_schema_problems

    checked = check_surface(drafted.parent, drafted.name)
    problems = list(checked.problems)
    if checked.contracts is not None:
        problems += find_schema_problems(checked.contracts, logs).problems
    if problems:
        lines = "\n".join(f"  {problem.hint}" for problem in problems)
        raise DataError(f"{len(problems)} problem(s) of the log; nothing was written:\n{lines}")


_data = CommandGroup("Data")
_world = CommandGroup("Data", word="world", help="A simulated feed with known true probabilities.")
GROUPS = (_data, _world)


@group()
def _write_check(plain: text.Plain) -> Iterator[RenderableType]:
    """Write the check, then the changes since a revision and the effects of changed policies."""
    yield text.write_check(plain)
    for change in plain["changes"]:
        versions = f"version {change['before'] or 'none'} -> {change['after'] or 'none'}"
        place, keys = f"{change['surface']}/{change['file']}", ", ".join(change["keys"])
        yield Text(f"{change['change']} {place}, {versions}: {keys}")
        if not change["raised"]:
            yield Text("    The content changed without a new version. Raise `version`", style="red")
    for diff in plain["policy_diffs"]:
        yield write_diff(diff)


def _changes(root: Path, surface: str | None, since: "Revision") -> "Iterator[ContractChange]":
    from tasks.contracts import surface_names
    from tasks.contracts.revisions import find_changes

    for name in [surface] if surface else sorted({*surface_names(root), *since.surfaces()}):
        yield from find_changes(root, name, since)


def _diff_policies(
    root: Path, home: Path | None, changes: "Sequence[ContractChange]", since: "Revision"
) -> Iterator[dict[str, Any]]:
    """Compare changed policies on logged candidates, if the surface has a release."""
    from tasks.stores.workspace import Workspace

    for change in changes:
        if change.change != "changed" or change.file not in {"utility.yaml", "slate.yaml"}:
            continue
        workspace = Workspace.open(change.surface, surfaces=root, home=home)
        if not _has_releases(workspace):
            continue
        from tasks.replay import policy_diff

        with tempfile.TemporaryDirectory(prefix="equipoise-before-") as folder:
            before = Path(folder) / change.file
            before.write_bytes(since.read(change.surface, change.file) or b"")
            after = root / change.surface / change.file
            yield text.as_plain(policy_diff.run(workspace, before=str(before), after=str(after)))


def _has_releases(workspace: "Workspace") -> bool:
    """Whether the surface has a release; a home without a registry is not modified."""
    if not (Settings().tracking_uri or (workspace.home / "mlflow").is_dir()):
        return False

    return bool(workspace.releases.summaries())


@dataclass(frozen=True)
class CheckResult:
    """Every problem and warning of the surfaces' files, and the digests of files without problems.

    ``power``: for each limit on a change of a rate, the events in the slots that detect it in 80 % of cases,
    and the events needed on a log of the surface's own releases if they explore.
    ``changes``: contracts that changed since a revision; ``policy_diffs``: effects of changed policies on the
    candidates of the champion, else of the newest release.
    ``log``: the tables whose columns were compared with the contracts, or the reason why not.
    ``measured``: by surface, tasks that are measured and never trained.
    """

    valid: bool
    problems: list[dict[str, str]]
    warnings: list[dict[str, str]]
    power: list[dict[str, Any]]
    log: list[dict[str, Any]]
    measured: dict[str, list[str]]
    digests: dict[str, dict[str, str]]
    changes: list[dict[str, Any]]
    policy_diffs: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether every contract is valid and every change raised its version."""
        return self.valid and all(change["raised"] for change in self.changes)


@_data.command("home_feed", written=_write_check, passed=lambda result: result.passed)
def check(
    surface: Annotated[str | None, Argument(metavar="SURFACE", help="One surface (default: all).")] = None,
    against: Annotated[
        str | None,
        Option(
            metavar="REV", help="List changes since a git revision; exit code 1 if a version was not raised."
        ),
    ] = None,
    surfaces: Surfaces = None,
    home: Home = None,
) -> CheckResult:
    """Check a surface's contracts, experiments and log, and list every problem."""
    from tasks.contracts import check_surface, surface_names
    from tasks.contracts.experiment import check_experiments
    from tasks.contracts.revisions import Revision
    from tasks.logs.schema_fit import find_schema_problems
    from tasks.stores.workspace import Workspace, surfaces_folder

    root = surfaces_folder(surfaces)
    checked = [check_surface(root, name) for name in ([surface] if surface else surface_names(root))]
    logs = Workspace.open(surface or "", surfaces=root, home=home).logs
    fits = {c.surface: find_schema_problems(c.contracts, logs) for c in checked if c.contracts}
    found = [(c.surface, p) for c in checked for p in c.problems]
    found += [(name, p) for name, fit in fits.items() for p in fit.problems]
    found += [(c.surface, p) for c in checked if c.contracts for p in check_experiments(root, c.contracts)]
    warned = [(c.surface, p) for c in checked for p in c.warnings]
    warned += [(name, p) for name, fit in fits.items() for p in fit.warnings]
    since = None if against is None else Revision.find(root, against)
    changes = [] if since is None else [*_changes(root, surface, since)]
    return CheckResult(
        valid=not found,
        problems=[{"surface": name, **problem.to_json()} for name, problem in found],
        warnings=[{"surface": name, **problem.to_json()} for name, problem in warned],
        power=[row for c in checked if c.contracts for row in _power(c.contracts)],
        log=[{"surface": name, **asdict(table)} for name, fit in fits.items() for table in fit.tables],
        measured={c.surface: list(c.contracts.tasks.measured) for c in checked if c.contracts},
        digests={c.surface: dict(c.contracts.digests) for c in checked if c.contracts},
        changes=[asdict(change) for change in changes],
        policy_diffs=[] if found or since is None else [*_diff_policies(root, home, changes, since)],
    )


@_data.command(
    "my_feed --impressions logs/impressions.parquet --events logs/events.parquet",
    written=text.write_init,
    makes_surface=True,
)
def init(
    workspace: "Workspace",
    impressions: Annotated[
        Path, Option(metavar="FILE", help="A Parquet file, a folder, a glob or a Delta table.")
    ],
    events: Annotated[Path, Option(metavar="FILE", help="The events, in the same formats.")],
    candidates: Annotated[
        Path | None, Option(metavar="FILE", help="All candidates, in the same formats.")
    ] = None,
    column: Annotated[
        list[str] | None, Option(metavar="NAME=COLUMN", help="A standard column and the log's name for it.")
    ] = None,
    start: Annotated[
        str | None,
        Option(
            "--from",
            metavar="NAME",
            help="Copy outcomes, weights and limits from another surface, such as minimal.",
        ),
    ] = None,
) -> InitResult:
    """Draft a surface's four contracts from its log, valid and commented."""
    tables = {"impressions": impressions, "events": events, "candidates": candidates}
    given = {table: path for table, path in tables.items() if path is not None}
    return draft_surface(workspace, given, parse_columns(column or []), start)


_EXPLORED: Final = 2.4**2
"""Factor on the events that a log needs if its releases draw their last slot at random: intervals are 2.4
times wider, since one slot represents all uncertain candidates (``own_logs`` of ``benchmarks.operating``)."""


def _power(contracts: "Contracts") -> Iterator[dict[str, Any]]:
    from tasks.contracts.metrics import MetricKind, parse_metric
    from tasks.evaluation.verdicts import events_to_tell

    for rail in contracts.utility.guardrails:
        metric = parse_metric(rail.metric, tasks=contracts.tasks.tasks, columns=())
        if metric is None or metric.kind not in {MetricKind.RATE, MetricKind.GIVEN}:
            continue
        for bound in ("relative_increase_max", "relative_decrease_max"):
            if (margin := getattr(rail, bound)) is not None:
                events = events_to_tell(margin)
                explored = {"explored_events": events and round(_EXPLORED * events)}
                yield {
                    "surface": contracts.name,
                    "metric": rail.metric,
                    bound: margin,
                    "events": events,
                    **(explored if contracts.slate.exploration else {}),
                }


@_data.command("complete-journey --out logs/weekly", name="import")
def import_data(
    dataset: Annotated[Literal["complete-journey", "kuairand", "open-bandit"], Argument(metavar="DATASET")],
    out: Annotated[
        Path, Option(metavar="DIR", parser=parse_folder_to_write, help="Folder of the log tables.")
    ],
    source: Annotated[Path | None, Option(metavar="DIR", help="Folder of the data set's own files.")] = None,
) -> Any:
    """Import a public data set as log tables."""
    if dataset == "complete-journey":
        from tasks.datasets.complete_journey import import_complete_journey

        return import_complete_journey(out=out, source=source)
    if source is None:
        raise UsageError(f"{dataset} has no package. Download it and name its folder (--source DIR)")
    if dataset == "open-bandit":
        from tasks.datasets.open_bandit import import_open_bandit

        return import_open_bandit(out=out, source=source)
    from tasks.datasets.kuairand import import_kuairand

    return import_kuairand(out=out, source=source)


@_world.command("--days 132 --requests-per-day 800 --seed 1 --out logs/home_feed")
def generate(  # noqa: PLR0913, PLR0917 - options of the command line
    days: Annotated[int, Option(metavar="N")],
    requests_per_day: Annotated[int, Option(metavar="N")],
    seed: Annotated[int, Option(metavar="N")],
    out: Annotated[
        Any, Option(metavar="DIR", parser=parse_place_to_write, help="A folder, or s3://bucket/prefix.")
    ],
    world: Annotated[
        Literal["home_feed", "case_desk"],
        Option(metavar="WORLD", help="home_feed: a shop's feed. case_desk: actions suggested for cases."),
    ] = "home_feed",
    candidate_truth: Annotated[
        bool,
        Option("--candidate-truth", help="Write the true probabilities of every candidate, shown or not."),
    ] = False,
    user_controls: Annotated[
        bool,
        Option(
            "--user-controls", help="Simulate users who mute creators and ask for more or less of something."
        ),
    ] = False,
) -> Any:
    """Simulate a feed: log tables and their true probabilities."""
    from tasks.datasets.case_desk import generate_case_desk
    from tasks.datasets.world.generate import Extras, generate
    from tasks.stores.location import filled

    if world == "case_desk" and (candidate_truth or user_controls):
        raise UsageError("--candidate-truth and --user-controls need --world home_feed. Leave them out")
    make = (
        generate_case_desk
        if world == "case_desk"
        else partial(generate, extras=Extras(candidate_truth, user_controls))
    )
    with filled(out) as folder:
        result = make(days=days, requests_per_day=requests_per_day, seed=seed, out=folder)
    return result if folder == out else replace(result, out=str(out))
