"""``experiments/<name>.yaml``: an online comparison of two releases, declared before it starts.

::

    surfaces/<surface>/...     experiments/<name>.yaml      two folders of one parent, both reviewed
    [starts, ends)             days in UTC; ``ends`` is exclusive
    arms                       ``control`` and one other, named as in the log's column ``arm``

The rows of an experiment are those whose logged ``experiment`` equals its name. Its metrics are metrics of
user outcomes: rates, rates given a parent, shares of a column, ``observed_utility`` and ``latency_p99_ms``.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from tasks.contracts.base import (
    AsTuple,
    Closed,
    Fraction,
    Identifier,
    Identifiers,
    Number,
    Reference,
    Slug,
    Text,
    Version,
    canonical,
    digest,
)
from tasks.contracts.load import Contracts, read_yaml
from tasks.contracts.metrics import Metric, MetricKind, known_metrics, metric_columns, parse_metric
from tasks.contracts.problems import Problem, abbreviate, problems_of_validation
from tasks.contracts.surface import Day
from tasks.contracts.utility import BOUNDS, Bounded, Primary
from tasks.errors import ContractError, unknown

CONTROL: Final = "control"
_SUM: Final = 1e-9
_READ: Final = frozenset(
    {
        MetricKind.OBSERVED_UTILITY,
        MetricKind.RATE,
        MetricKind.GIVEN,
        MetricKind.SHARE,
        MetricKind.LATENCY,
    }
)
"""Metrics of user outcomes."""


class Arm(Closed):
    """The release of an arm: a version, or an alias that is resolved when the experiment is planned.

    ``follows`` : the arm follows the alias, like the users who are not in the holdout.
    """

    release: Reference | Annotated[int, Field(ge=1)]
    follows: bool = False

    @model_validator(mode="after")
    def _an_alias_is_followed(self) -> Self:
        if self.follows and (isinstance(self.release, int) or self.release.isdigit()):
            raise ValueError(f"follows needs an alias, as `release: champion`, not version {self.release}")
        return self


class ExperimentGuardrail(Bounded):
    """A bound on a metric; a ``critical`` guardrail that fails or is inconclusive prevents shipping."""

    critical: bool = False


class Cuped(Closed):
    """Days before the start whose outcomes of the same users narrow the intervals (CUPED)."""

    days: Annotated[int, Field(ge=1, le=90)]


class ExperimentSpec(Closed):
    """The whole file."""

    experiment: Slug
    version: Version
    surface: Identifier
    owner: Text
    arms: dict[Identifier, Arm]
    shares: dict[Identifier, Fraction]
    unit: Literal["user_id"] = "user_id"
    starts: Day
    ends: Day
    primary: Primary = Primary()
    guardrails: Annotated[tuple[ExperimentGuardrail, ...], AsTuple] = ()
    segments: Identifiers = ()
    smallest_effect: Annotated[Number, Field(gt=0, lt=1)]
    cuped: Cuped | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.arms) != 2 or CONTROL not in self.arms:
            raise ValueError(f"arms must be '{CONTROL}' and one other, not {', '.join(self.arms) or 'none'}")
        if self.shares.keys() != self.arms.keys():
            raise ValueError(
                f"shares must be of the arms {', '.join(self.arms)}, not of {', '.join(self.shares)}"
            )
        if abs(sum(self.shares.values()) - 1) > _SUM:
            raise ValueError(f"shares sum to {sum(self.shares.values()):g}, not to 1")
        if self.arms[CONTROL].follows:
            raise ValueError(f"'{CONTROL}' may not follow an alias: it stays at one release")
        if self.ends <= self.starts:
            raise ValueError(f"ends {self.ends} must be later than starts {self.starts}")
        return self

    @property
    def treatment(self) -> str:
        """The arm other than the control."""
        return next(arm for arm in self.arms if arm != CONTROL)

    @property
    def instants(self) -> tuple[datetime, datetime]:
        """Start and end, both at midnight UTC."""
        start, end = (datetime.combine(day, time(), UTC) for day in (self.starts, self.ends))
        return start, end

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics, the primary first."""
        return tuple(dict.fromkeys((self.primary.metric, *(rail.metric for rail in self.guardrails))))

    @property
    def digest(self) -> str:
        """Digest of the file's content."""
        return digest(canonical(self))

    def parse_metrics(self, contracts: Contracts) -> dict[str, Metric]:
        """Return the metrics by name, parsed with the surface's tasks and columns."""
        tasks, columns = contracts.tasks.tasks, metric_columns(contracts.surface, contracts.slate)
        found = {name: parse_metric(name, tasks=tasks, columns=columns) for name in self.metrics}
        return {name: metric for name, metric in found.items() if metric is not None}


def experiments_folder(surfaces: Path) -> Path:
    """Return the folder of experiments, which lies next to the folder of surfaces."""
    return surfaces.parent / "experiments"


def experiment_names(surfaces: Path) -> tuple[str, ...]:
    """List the experiments of all surfaces by file name; empty without a folder of experiments."""
    return tuple(sorted(file.stem for file in experiments_folder(surfaces).glob("*.yaml")))


def experiments_of(surfaces: Path, surface: str) -> tuple[str, ...]:
    """Return the names of the experiments whose files name the surface."""
    folder = experiments_folder(surfaces)
    return tuple(
        name for name in experiment_names(surfaces) if names_surface(folder / f"{name}.yaml", surface)
    )


def experiment_outcomes(contracts: Contracts) -> dict[str, str]:
    """Return by name the outcomes that weights are learned from, each with its task.

    These are the rate of every task, and the value of each utility term with a value column.
    """
    rates: dict[str, str] = {Metric(MetricKind.RATE, task).name: task for task in contracts.tasks.tasks}
    tasks = [task for task in contracts.tasks.tasks if task in contracts.utility.variants]
    return rates | {task: task for task in tasks if outcome_of(contracts, task) == task}


def outcome_of(contracts: Contracts, term: str) -> str:
    """Return the outcome of a utility term: its task's rate, or its value if it has a value column."""
    valued = any(weight.value_column is not None for weight in contracts.utility.variants[term])
    return term if valued else Metric(MetricKind.RATE, term).name


def load_experiment(surfaces: Path, name: str, contracts: Contracts) -> ExperimentSpec:
    """Load an experiment of a surface."""
    if name not in (known := experiment_names(surfaces)):
        raise ContractError(unknown("experiment", name, known, where=str(experiments_folder(surfaces))))
    file = experiments_folder(surfaces) / f"{name}.yaml"
    spec, problems = _read(file, contracts)
    if spec is None or problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ContractError(f"{len(problems)} problem(s) in the experiment {file}:\n{lines}")
    return spec


def check_experiments(surfaces: Path, contracts: Contracts) -> Iterator[Problem]:
    """Find every problem of a surface's experiments, and files that are not YAML."""
    for name in experiment_names(surfaces):
        file = experiments_folder(surfaces) / f"{name}.yaml"
        if names_surface(file, contracts.name) is not False:
            yield from _read(file, contracts)[1]


def names_surface(file: Path, surface: str) -> bool | None:
    """Whether an experiment file names a surface; None if it is not YAML."""
    try:
        return bool(read_yaml(file).get("surface") == surface)
    except ContractError:
        return None


def _read(file: Path, contracts: Contracts) -> tuple[ExperimentSpec | None, list[Problem]]:
    """Read a file and collect its problems."""
    try:
        spec = ExperimentSpec.model_validate(read_yaml(file))
    except ContractError as error:
        return None, [Problem(file.name, "", "", str(error))]
    except ValidationError as error:
        return None, problems_of_validation(file.name, error, ExperimentSpec)
    return spec, list(find_experiment_problems(file.stem, spec, contracts))


def find_experiment_problems(name: str, spec: ExperimentSpec, contracts: Contracts) -> Iterator[Problem]:
    """Find settings of an experiment that do not fit its surface."""
    file = f"{name}.yaml"
    if spec.experiment != name:
        yield Problem(file, "experiment", abbreviate(spec.experiment), f"must be the file's name, {name}")
    if spec.surface != contracts.name:
        hint = unknown("surface", spec.surface, [contracts.name])
        yield Problem(file, "surface", abbreviate(spec.surface), hint)
        return
    tasks, columns = contracts.tasks.tasks, metric_columns(contracts.surface, contracts.slate)
    read = [one.name for one in known_metrics(tasks, columns) if one.kind in _READ]
    named = {"primary.metric": spec.primary.metric}
    named |= {f"guardrails.{i}.metric": rail.metric for i, rail in enumerate(spec.guardrails)}
    for field, metric_name in named.items():
        metric = parse_metric(metric_name, tasks=tasks, columns=columns)
        if metric is None:
            yield Problem(file, field, abbreviate(metric_name), unknown("metric", metric_name, read))
        elif metric.kind not in _READ:
            hint = f"is no outcome of users. Known: {', '.join(sorted(read))}"
            yield Problem(file, field, abbreviate(metric_name), hint)
    for i, rail in enumerate(spec.guardrails):
        bounds = [bound for bound in BOUNDS if getattr(rail, bound) is not None]
        if rail.metric == MetricKind.LATENCY.value and bounds != ["max"]:
            yield Problem(file, f"guardrails.{i}", ", ".join(bounds), "latency_p99_ms takes max alone")
    known = [segment.name for segment in contracts.surface.segments]
    for segment in sorted(set(spec.segments) - set(known)):
        yield Problem(file, "segments", abbreviate(segment), unknown("segment", segment, known))
