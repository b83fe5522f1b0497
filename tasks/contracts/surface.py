"""``surface.yaml``: a surface's logs, features, segments and training settings.

The section ``gates``, the requirements on a release, is in ``tasks.contracts.gates``.

A source is a set of files, a table of PostgreSQL, or a table of Spark's catalog.

::

    home_feed/impressions/*.parquet      files, a folder, a glob or a Delta table below the logs folder
    postgresql://NAME/schema.table       a table or view of the server that the environment names NAME
    spark://database.table               a table or view of the Spark session's catalog

Messages never repeat a URL because it may contain a password.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from tasks.contracts.base import (
    AsTuple,
    Closed,
    Fraction,
    Identifier,
    Identifiers,
    Number,
    Numbers,
    Range,
    Text,
    Version,
)
from tasks.contracts.durations import Duration, parse_duration
from tasks.contracts.gates import ApprovalsOnCommandLine, Gates, OverrideRule, Ramp, Rules
from tasks.contracts.training import ModelChoice, TaskTraining, Trunk

_NAME = r"[^./\s]{1,63}"
_SERVER = r"[A-Za-z][A-Za-z0-9_]{0,62}"
_POSTGRESQL = re.compile(rf"postgresql://(?P<server>{_SERVER})/(?P<schema>{_NAME})\.(?P<table>{_NAME})")
_SPARK = re.compile(rf"spark://(?P<names>{_NAME}(\.{_NAME}){{1,2}})")

NEEDS_SPARK = (
    "is a table of Spark's catalog: set engine: {name: spark} (--engine spark), or export it as Parquet"
)


@dataclass(frozen=True)
class PostgresTable:
    """A table or view of a server; the connection is configured outside the contracts."""

    server: str
    schema: str
    table: str

    def __str__(self) -> str:
        return f"postgresql://{self.server}/{self.schema}.{self.table}"


@dataclass(frozen=True)
class SparkTable:
    """A table or view of a catalog: its qualified name in parts, the database first."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"spark://{'.'.join(self.names)}"


_LONGEST_NAME, _MOST_FOLDERS, _MOST_WILD = 255, 64, 4
"""Limits: bytes of a name, folders of a path, and ``**`` of a pattern, each of which searches recursively."""

Source: TypeAlias = str | PostgresTable | SparkTable


def parse_source(text: str) -> Source:
    """Parse a source; paths and globs are returned as text.

    Examples
    --------
    >>> parse_source("postgresql://warehouse/public.events")
    PostgresTable(server='warehouse', schema='public', table='events')
    >>> parse_source("spark://shop.events")
    SparkTable(names=('shop', 'events'))
    """
    scheme, is_url, _ = text.partition("://")
    if not is_url:
        _check_path(text)
        return text
    if match := _POSTGRESQL.fullmatch(text):
        return PostgresTable(**match.groupdict())
    if match := _SPARK.fullmatch(text):
        return SparkTable(tuple(match["names"].split(".")))
    if scheme.lower() in {"postgresql", "postgres"}:
        raise ValueError(
            "write postgresql://NAME/schema.table, where NAME is a name and no host: address, user and "
            "password belong in the environment, as EQUIPOISE_POSTGRESQL_<NAME>, and never in a contract"
        )
    if scheme.lower() == "spark":
        raise ValueError("write spark://database.table")
    raise ValueError(
        f"nothing reads {scheme[:20]}:// here: copy or mount the table below the logs folder, or let "
        "EQUIPOISE_LOGS be the prefix that it lies below"
    )


def _check_path(text: str) -> None:
    names = text.split("/")
    if any(len(name.encode()) > _LONGEST_NAME for name in names):
        raise ValueError(f"a name in it is longer than {_LONGEST_NAME} bytes, the most that a file has")
    if len(names) > _MOST_FOLDERS:
        raise ValueError(f"it has {len(names)} folders: at most {_MOST_FOLDERS} are searched")
    if any(sign < " " for sign in text):
        raise ValueError("it holds a control character")
    if any("**" in name and name != "**" for name in names):
        raise ValueError("** matches folders only as a whole name: write logs/**/*.parquet, or one *")
    if names.count("**") > _MOST_WILD:
        raise ValueError(f"it has more than {_MOST_WILD} **: one is enough for folders of any depth")


_CRON_FIELDS: Final = 5


def check_cron(text: str) -> str:
    """Return a five-field cron string if Airflow's parser accepts it and it matches some minute.

    Examples
    --------
    >>> check_cron("0 4 * * 1")
    '0 4 * * 1'
    >>> check_cron("0 4 30 2 *")
    Traceback (most recent call last):
    ...
    ValueError: '0 4 30 2 *' is not a cron string: failed to find next date
    """
    from croniter import croniter  # noqa: PLC0415 - only surfaces need it

    try:
        if len(text.split(" ")) != _CRON_FIELDS:
            raise ValueError("it does not have five fields, as in 0 4 * * 1")  # noqa: TRY301 - one message, created below
        croniter(text, datetime(2026, 1, 1, tzinfo=UTC)).get_next()
    except ValueError as error:
        raise ValueError(f"{text!r} is not a cron string: {error}") from None
    return text


Cron = Annotated[str, StringConstraints(max_length=200), AfterValidator(check_cron)]
_Source = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_User = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@+-]{1,100}$")]
_Connections = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,200}$")], ...], AsTuple
]
_FIRST_DAY: Final = date(1970, 1, 1)
_LAST_DAY: Final = date(2200, 1, 1)
BUILDS_AS_OF: Final = "__as_of"
"""Suffix of the folder that holds a surface's label builds with a past as-of."""
EngineName = Literal["duckdb", "spark"]


def _day(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _possible_day(day: date) -> date:
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError(f"must lie between {_FIRST_DAY} and {_LAST_DAY}")
    return day


Day = Annotated[date, BeforeValidator(_day), AfterValidator(_possible_day)]
"""A day from 1970 to 2200, written as 2026-03-01."""


def _whole_days(value: timedelta) -> timedelta:
    if value % timedelta(days=1):
        raise ValueError("must be whole days: label partitions are days")
    return value


Days = Annotated[Duration, Field(), BeforeValidator(lambda v: _whole_days(parse_duration(v)))]


class Sources(Closed):
    """Locations of the log tables: files below the logs folder, or tables (``tasks.contracts.surface``)."""

    impressions: _Source
    events: _Source
    candidates: _Source | None = None


class Engine(Closed):
    """The engine that runs the label SQL and scores simulations; by default all cores and 4GB of memory."""

    name: EngineName = "duckdb"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    memory: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}(MB|GB)$")] | None = None


class Features(Closed):
    """The inputs of the models."""

    numeric: Identifiers = ()
    categorical: Identifiers = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All features in the order of the models' columns."""
        return self.numeric + self.categorical

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        twice = sorted(set(self.numeric) & set(self.categorical))
        if twice:
            raise ValueError(f"both numeric and categorical: {', '.join(twice)}")
        if not self.names:
            raise ValueError("names no feature")
        return self


class SegmentSpec(Closed):
    """A column by whose values reports are split; a numeric column is cut at the bins."""

    name: Identifier
    column: Identifier = Field(alias="from")
    bins: Annotated[Numbers, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _bins_increase(self) -> Self:
        if self.bins is not None and list(self.bins) != sorted(set(self.bins)):
            raise ValueError("bins must increase")
        return self


def _segment(value: Any) -> Any:
    return {"name": value, "from": value} if isinstance(value, str) else value


class ExaminationSpec(Closed):
    """The probability that a position is examined, relative to the first."""

    by_position: Annotated[
        tuple[Annotated[Number, Field(gt=0, le=1)], ...], AsTuple, Field(min_length=1, max_length=1000)
    ]


class Split(Closed):
    """Lengths of a task's slices; ``early_stop`` is the share of train users held out for early stopping."""

    train: Days
    early_stop: Annotated[Number, Field(gt=0, lt=0.5)] = 0.1
    calibrate: Days
    test: Days


class MinimumSpec(Closed):
    """Minimum data for a task to be trained."""

    train: Days = timedelta(days=7)
    positives: Annotated[int, Field(ge=1)] = 200


class LightGBMParameters(Closed):
    """LightGBM parameters of one task; absent ones come from ``default``."""

    num_leaves: Annotated[int, Field(ge=2, le=4096)] | None = None
    learning_rate: Annotated[Number, Field(gt=0, le=1)] | None = None
    rounds: Annotated[int, Field(ge=1, le=10_000)] | None = None
    early_stopping_rounds: Annotated[int, Field(ge=1, le=1000)] | None = None
    min_data_in_leaf: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    min_sum_hessian_in_leaf: Annotated[Number, Field(ge=0)] | None = None
    max_depth: Annotated[int, Field(ge=-1, le=64)] | None = None
    max_bin: Annotated[int, Field(ge=2, le=65535)] | None = None
    lambda_l1: Annotated[Number, Field(ge=0)] | None = None
    lambda_l2: Annotated[Number, Field(ge=0)] | None = None
    feature_fraction: Fraction | None = None
    bagging_fraction: Fraction | None = None
    bagging_freq: Annotated[int, Field(ge=0, le=10_000)] | None = None
    cat_smooth: Annotated[Number, Field(ge=0)] | None = None
    cat_l2: Annotated[Number, Field(ge=0)] | None = None


class Schedule(Closed):
    """Schedule of each DAG, as cron in UTC."""

    labels: Cron = "0 2 * * *"
    retrain: Cron = "0 4 * * 1"
    retrain_slow: Cron = "0 4 1 * *"
    monitor: Cron = "0 6 * * *"
    ramp: Cron = "0 7 * * *"
    prune: Cron = "0 3 * * 0"


class Arrival(Closed):
    """The condition under which a log table is complete up to an as-of, and how long a retrain waits for it.

    ``within``: maximum distance of its newest row from the as-of. ``deadline``: how long a run waits after
    the due time. ``every``: interval between checks.
    """

    within: Duration = timedelta(days=1)
    deadline: Duration = timedelta(hours=12)
    every: Duration = timedelta(minutes=5)

    @model_validator(mode="after")
    def _looks_while_it_waits(self) -> Self:
        if not timedelta(seconds=10) <= self.every <= self.deadline:
            raise ValueError("every must lie between PT10S, the time of one check, and deadline")
        return self


class Promotion(Closed):
    """How a release is proposed to the reviewers, and where they answer.

    ``propose``: a retrain whose decision is Promote starts the promotion itself. ``answer_within``: how long
    the promotion waits for each answer. ``approvals_on_command_line``: false, answers are given in Airflow
    only; ``by_account``, also with `equipoise approve` from the reviewer's own login account; true, whoever
    runs `equipoise promote` approves for every role, for single-user machines.
    """

    propose: bool = False
    answer_within: Duration = timedelta(days=3)
    approvals_on_command_line: ApprovalsOnCommandLine = False


class Notify(Closed):
    """Airflow connections that receive messages, by event."""

    approval_waits: _Connections = ()
    run_fails: _Connections = ()
    release_held: _Connections = ()
    alias_moves: _Connections = ()
    drift_alarms: _Connections = ()


AlarmedMetric = Literal[
    "calibration_ratio",
    "mean_prediction",
    "rows",
    "share",
    "arrived_share",
    "contribution_share",
    "dropped_share",
    "unmet_share",
    "returned_share",
    "rate",
    "feature_distance",
    "served_difference",
]
ALARMED: Final[tuple[AlarmedMetric, ...]] = get_args(AlarmedMetric)
"""Metrics of the monitor whose series can raise alarms."""


class Monitor(Closed):
    """Settings of the monitor's alarms.

    ``critical``: tasks, and metrics of `ALARMED`, whose alarms fail the run; others are reported as messages.
    """

    critical: Identifiers = ()


class Keep(Closed):
    """Retention of a surface's state for `equipoise prune`; without an entry everything is retained.

    ``snapshots``: maximum age of label snapshots. ``releases``: number of newest releases. ``runs``: maximum
    age of MLflow runs, with their models and evidence.
    """

    snapshots: Annotated[Days, Field(ge=timedelta(days=1))] | None = None
    releases: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    runs: Annotated[Days, Field(ge=timedelta(days=1))] | None = None


class Proxy(Closed):
    """A fast outcome and the slow outcome that it approximates; their deciles are compared (R23)."""

    fast: Identifier
    slow: Identifier


def _share_engine(training: Any) -> Any:
    """Move an engine and a scheduler from the task level to ``default``."""
    shared = ("engine", "scheduler")
    beside = {name: training[name] for name in shared if isinstance(training, dict) and name in training}
    if not any(isinstance(value, str) for value in beside.values()):
        return training
    default = training.get("default") or {}
    if not isinstance(default, dict) or beside.keys() & default.keys():
        raise ValueError("engine and scheduler belong next to the tasks or under `default`, not both")
    others = {name: value for name, value in training.items() if name not in beside}
    return {**others, "default": {**default, **beside}}


def _refuse_folder_of_builds(name: str) -> str:
    if name.endswith(BUILDS_AS_OF):
        raise ValueError(f"'{name}' ends with {BUILDS_AS_OF}: a folder of the store is called so; rename it")
    return name


class SurfaceSpec(Closed):
    """The whole file.

    ``shown_is_all``: every candidate of a request was shown, so impressions and candidates are the same.
    """

    surface: Annotated[Identifier, AfterValidator(_refuse_folder_of_builds)]
    version: Version
    owner: Text
    reviewers: dict[Identifier, Annotated[tuple[_User, ...], AsTuple, Field(min_length=1)]] = {}
    sources: Sources
    engine: Engine = Engine()
    columns: dict[Identifier, Annotated[str, StringConstraints(min_length=1, max_length=200)]] = {}
    shown_is_all: bool = False
    features: Features
    segments: Annotated[tuple[Annotated[SegmentSpec, BeforeValidator(_segment)], ...], AsTuple] = ()
    values: Identifiers = ()
    examination: Literal["none", "estimated"] | ExaminationSpec | None = None
    reference_position: Annotated[int, Field(ge=1)] = 1
    propensity_kind: Literal["position", "inclusion"] = "position"
    split: Split
    minimum: MinimumSpec = MinimumSpec()
    lightgbm: dict[Identifier, LightGBMParameters] = {}
    training: Annotated[dict[Identifier, TaskTraining], BeforeValidator(_share_engine)] = {}
    trunks: dict[Identifier, Trunk] = {}
    models: dict[Identifier, ModelChoice] = {}
    proxies: Annotated[tuple[Proxy, ...], AsTuple] = ()
    base_rates: dict[Identifier, Range] = {}
    until: Day | None = None
    schedule: Schedule = Schedule()
    arrival: Arrival = Arrival()
    promotion: Promotion = Promotion()
    notify: Notify = Notify()
    monitor: Monitor = Monitor()
    keep: Keep = Keep()
    override: OverrideRule | None = None
    ramp: Ramp | None = None
    gates: Gates = Gates()

    @property
    def logs_all_candidates(self) -> bool:
        """Whether the log contains every scored candidate, not only the shown ones."""
        return self.shown_is_all or self.sources.candidates is not None

    @property
    def ends_at(self) -> datetime | None:
        """The instant at which the logs end: the midnight after ``until``; None if they continue."""
        return None if self.until is None else datetime.combine(self.until + timedelta(days=1), time(), UTC)

    @property
    def rules(self) -> Rules:
        """The rules of a promotion, as evidence records them."""
        return Rules(
            **dict(self.gates),
            base_rates=self.base_rates,
            reviewers=self.reviewers,
            approvals_on_command_line=self.promotion.approvals_on_command_line,
            override=self.override,
            ramp=self.ramp,
            shown_is_all=self.shown_is_all,
        )

    @property
    def examination_curve(self) -> tuple[float, ...] | None:
        """Declared examination probability by position, flat without position bias; None if not declared."""
        if isinstance(self.examination, ExaminationSpec):
            return self.examination.by_position
        return (1.0,) if self.examination == "none" else None

    def lightgbm_for(self, task: str) -> dict[str, float | int]:
        """Return a task's LightGBM parameters: its own, else the default ones."""
        layers = (self.lightgbm.get(name, LightGBMParameters()) for name in ("default", task))
        return {k: v for layer in layers for k, v in layer.model_dump(exclude_none=True).items()}

    def training_for(self, task: str) -> TaskTraining:
        """Return a task's training settings: its own, else the default ones."""
        default, own = (self.training.get(name, TaskTraining()) for name in ("default", task))
        return own.over(default)

    def model_for(self, task: str) -> ModelChoice:
        """Return the model that a release uses for a task; outside a trunk it is the trees."""
        asked = self.models.get(task, self.models.get("default", "trees"))
        return "trees" if task not in self.models and self.trunk_of(task) is None else asked

    def trunk_of(self, task: str) -> str | None:
        """Return the trunk that contains a task, or None."""
        return next((name for name, trunk in self.trunks.items() if task in trunk.tasks), None)
