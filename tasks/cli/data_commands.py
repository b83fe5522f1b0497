"""Commands on contracts and log tables: check, import and simulate."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import Group
from tasks.cli.options import Home, Surfaces, parse_folder_to_write, parse_place_to_write
from tasks.errors import ContractError

if TYPE_CHECKING:
    from tasks.cli.init import InitResult
    from tasks.contracts import Contracts
    from tasks.datasets.world.generate import WorldResult
    from tasks.stores.workspace import Workspace

_data = Group("Data and labels")
_world = Group("Data and labels", word="world", help="A simulated feed whose true probabilities are known.")
GROUPS = (_data, _world)


@dataclass(frozen=True)
class CheckResult:
    """Every problem and warning of the surfaces' files, and the digests of those without problems.

    ``power``: for each bound of a change of a rate, the events in the slots that detect it in 80 % of cases,
    and those on a log of the surface's own releases where they explore.
    ``log``: the tables whose columns were compared with the contracts, or why they were not.
    """

    valid: bool
    problems: list[dict[str, str]]
    warnings: list[dict[str, str]]
    power: list[dict[str, Any]]
    log: list[dict[str, Any]]
    digests: dict[str, dict[str, str]]


@_data.command("home_feed", written=text.write_check, passed=lambda result: result.valid)
def check(
    surface: Annotated[str | None, Argument(metavar="SURFACE", help="One surface (default: all).")] = None,
    surfaces: Surfaces = None,
    home: Home = None,
) -> CheckResult:
    """Check a surface's contracts, with its log where that is there, and show every problem at once."""
    from tasks.contracts import check_surface, surface_names
    from tasks.logs.schema_fit import find_schema_problems
    from tasks.stores.workspace import Workspace, surfaces_folder

    root = surfaces_folder(surfaces)
    checked = [check_surface(root, name) for name in ([surface] if surface else surface_names(root))]
    logs = Workspace.open(surface or "", surfaces=root, home=home).logs
    fits = {c.surface: find_schema_problems(c.contracts, logs) for c in checked if c.contracts}
    found = [(c.surface, p) for c in checked for p in c.problems]
    found += [(name, p) for name, fit in fits.items() for p in fit.problems]
    warned = [(c.surface, p) for c in checked for p in c.warnings]
    warned += [(name, p) for name, fit in fits.items() for p in fit.warnings]
    return CheckResult(
        valid=not found,
        problems=[{"surface": name, **problem.to_json()} for name, problem in found],
        warnings=[{"surface": name, **problem.to_json()} for name, problem in warned],
        power=[row for c in checked if c.contracts for row in _power(c.contracts)],
        log=[{"surface": name, **asdict(table)} for name, fit in fits.items() for table in fit.tables],
        digests={c.surface: dict(c.contracts.digests) for c in checked if c.contracts},
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
    events: Annotated[Path, Option(metavar="FILE", help="The same of the events.")],
    candidates: Annotated[Path | None, Option(metavar="FILE", help="The same of all candidates.")] = None,
    column: Annotated[
        list[str] | None, Option(metavar="OURS=THEIRS", help="A column of ours by its name.")
    ] = None,
) -> "InitResult":
    """Draft a surface's four files from its log: commented, valid, to be changed."""
    from tasks.cli.init import init, parse_columns

    tables = {"impressions": impressions, "events": events, "candidates": candidates}
    given = {table: path for table, path in tables.items() if path is not None}
    return init(workspace, given, parse_columns(column or []))


_EXPLORED: Final = 2.4**2
"""Events that a log needs whose releases draw their last slot, as a multiple: intervals are 2.4 times wider,
since one slot speaks for all candidates that were not certain (``own_logs`` of ``benchmarks.operating``)."""


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
    """Bring a public data set as log tables."""
    if dataset == "complete-journey":
        from tasks.datasets.complete_journey import import_complete_journey

        return import_complete_journey(out=out, source=source)
    if source is None:
        raise ContractError(f"{dataset} comes in no package: name the folder of its download (--source DIR)")
    if dataset == "open-bandit":
        from tasks.datasets.open_bandit import import_open_bandit

        return import_open_bandit(out=out, source=source)
    from tasks.datasets.kuairand import import_kuairand

    return import_kuairand(out=out, source=source)


@_world.command("--days 132 --requests-per-day 800 --seed 1 --out logs/home_feed")
def generate(
    days: Annotated[int, Option(metavar="N")],
    requests_per_day: Annotated[int, Option(metavar="N")],
    seed: Annotated[int, Option(metavar="N")],
    out: Annotated[
        Any, Option(metavar="DIR", parser=parse_place_to_write, help="A folder, or s3://bucket/prefix.")
    ],
    candidate_truth: Annotated[
        bool, Option("--candidate-truth", help="Write the truth of every candidate, shown or not.")
    ] = False,
    user_controls: Annotated[
        bool, Option("--user-controls", help="People mute creators, and ask for less or more of something.")
    ] = False,
) -> "WorldResult":
    """Simulate a feed: log tables and their true probabilities."""
    from tasks.datasets.world.generate import Extras, generate
    from tasks.stores.location import filled

    extras = Extras(candidate_truth, user_controls)
    with filled(out) as folder:
        result = generate(days=days, requests_per_day=requests_per_day, seed=seed, out=folder, extras=extras)
    return result if folder == out else replace(result, out=str(out))
