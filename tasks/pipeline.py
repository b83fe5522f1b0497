"""The steps of a retrain, in one list that Airflow's DAGs, the command line and MLflow Projects read.

::

    plan -> labels -> validate -> [train] by task ----------> [calibrate] by task -> release -> simulate,
                                  [train_trunk] by trunk --/                         shadow -> gate

`retrain` runs the list in this process; in Airflow each step is a process of its own, so imports happen
inside the steps. A step takes the request and the results of upstream steps as plain JSON. `apply_policy`
begins at validation, with the champion's models; `recheck` repeats the last steps before a promotion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal

from tasks.errors import DataError, GateRefused
from tasks.progress import part

if TYPE_CHECKING:
    from tasks.calibration import step as calibration
    from tasks.labels import build
    from tasks.promotion import gate
    from tasks.release import parts
    from tasks.release import step as release
    from tasks.release.view import ReleaseReader
    from tasks.replay import shadow, simulate
    from tasks.stores.workspace import Workspace
    from tasks.training import plan, trunk_step
    from tasks.training import step as training
    from tasks.training.rows import TaskRows
    from tasks.validation import step as validation

Results = Mapping[str, Any]
"""Results of upstream steps by name; a list for a step that runs by task or by trunk."""


@dataclass
class _Steps:
    """Counts the steps that began, for the progress display."""

    total: int = 1
    begun: int = 0

    def begin(self, *step: str) -> AbstractContextManager[None]:
        self.begun += 1
        return part(*step, done=self.begun - 1, of=max(self.total, self.begun))


@dataclass(frozen=True)
class Retrain:
    """A retrain request: surface, as-of and parent MLflow run.

    ``cadence`` and ``tasks`` select the tasks, ``backfill`` marks a release that moves no alias. A promotion
    sets ``later_validation``, the run that validated labels that have matured since; ``override``, the reason
    for overriding gates; and ``reader``, its cache of releases.
    """

    workspace: "Workspace"
    as_of: datetime
    parent_run: str | None = None
    cadence: Literal["fast", "slow"] = "fast"
    tasks: Sequence[str] = ()
    backfill: bool = False
    later_validation: str = ""
    override: str = ""
    reader: "ReleaseReader | None" = None
    steps: _Steps = field(default_factory=_Steps, repr=False, compare=False)


@dataclass(frozen=True)
class ModelRetrain:
    """The part of a retrain for one task or one shared trunk, on a published label snapshot."""

    retrain: Retrain
    name: str
    snapshot: str

    @cached_property
    def rows(self) -> "TaskRows":
        """The task's rows, for training and calibration."""
        from tasks.training.rows import TaskRows

        asked = self.retrain
        return TaskRows.open(asked.workspace, task=self.name, as_of=asked.as_of, snapshot=self.snapshot)


@dataclass(frozen=True)
class PipelineStep:
    """A step of a retrain.

    Parameters
    ----------
    function : takes a `Retrain` (`ModelRetrain` if the step runs by task or by trunk) and the results of the
        steps in ``after``.
    keep : selects the part of the result that later steps read, as plain JSON.
    after : upstream steps.
    by : whether it runs once for each task or each trunk; by default once.
    reads_log : whether it shares one opened log with its neighbours.
    """

    name: str
    function: Callable[[Any, Results], Any]
    keep: Callable[[Any], Any]
    after: tuple[str, ...] = ()
    by: Literal["", "task", "trunk"] = ""
    reads_log: bool = False


@dataclass(frozen=True)
class RetrainResult:
    """The new release and its verdicts."""

    release: int
    verdict: str
    reasons: list[str]
    gates: list[dict[str, Any]]
    timings: list[dict[str, Any]]
    next_step: str
    dossier: str


def _fields(*names: str) -> Callable[[Any], dict[str, Any]]:
    return lambda result: {name: getattr(result, name) for name in names}


def _plan(asked: Retrain, _: Results) -> "plan.PlanResult":
    from tasks.training import plan

    planned = plan.run(asked.workspace, as_of=asked.as_of, cadence=asked.cadence, tasks=asked.tasks)
    counts = {"": 1, "task": len(planned.tasks), "trunk": len(asked.workspace.contracts.surface.trunks)}
    asked.steps.total = sum(counts[step.by] for step in RETRAIN)
    plan.require(asked.workspace, planned, as_of=asked.as_of)
    return planned


def _labels(asked: Retrain, _: Results) -> "build.LabelsResult":
    from tasks.labels import build
    from tasks.logs import arrival

    built = build.run(asked.workspace, as_of=asked.as_of)
    arrival.warn(asked.workspace, as_of=asked.as_of)
    return built


def _validate(asked: Retrain, results: Results) -> "validation.ValidateResult":
    from tasks.validation import step

    snapshot = results["labels"]["snapshot"]
    return step.run(asked.workspace, as_of=asked.as_of, snapshot=snapshot, parent_run=asked.parent_run)


def _train_trunk(one: ModelRetrain, results: Results) -> "trunk_step.TrunkVersion":
    """Train a shared trunk, or reuse the champion's if the data or the selected tasks do not suffice."""
    from tasks.training import trunk_step

    asked = one.retrain
    return trunk_step.train_or_keep(
        asked.workspace,
        trunk=one.name,
        planned=results["plan"],
        as_of=asked.as_of,
        snapshot=one.snapshot,
        parent_run=asked.parent_run,
    )


def _train(one: ModelRetrain, _: Results) -> "training.TrainResult | parts.ReusedChampion":
    """Train a task, or reuse the champion's model if the data do not suffice."""
    from tasks.release import parts
    from tasks.training import step

    asked = one.retrain
    try:
        return step.train_and_compare(one.rows, parent_run=asked.parent_run)
    except DataError as error:
        return parts.keep_champion(asked.workspace, task=one.name, as_of=asked.as_of, error=error)


def _calibrate(one: ModelRetrain, results: Results) -> "calibration.CalibrateResult | parts.ReusedChampion":
    """Calibrate a task's model, or reuse the champion's if the data do not suffice."""
    from tasks.calibration import step
    from tasks.release import parts

    asked, trained = one.retrain, results["train"]
    if kept := parts.read_reused(trained):
        return kept
    trunk = asked.workspace.contracts.surface.trunk_of(one.name)
    versions = {found["trunk"]: found["version"] for found in results.get("train_trunk", ())}
    try:
        return step.calibrate(
            one.rows,
            model_version=trained["version"],
            trunk_version=versions.get(trunk),
            parent_run=asked.parent_run,
        )
    except DataError as error:
        return parts.keep_champion(asked.workspace, task=one.name, as_of=asked.as_of, error=error)


def _keep_part(*names: str) -> Callable[[Any], dict[str, Any]]:
    """Return the fields of a new component, or the reason why a task reuses the champion's."""

    def keep(result: Any) -> dict[str, Any]:
        from tasks.release import parts

        return asdict(result) if isinstance(result, parts.ReusedChampion) else _fields(*names)(result)

    return keep


def _release(asked: Retrain, results: Results) -> "release.ReleaseResult":
    from tasks.release import parts, step

    return step.run(
        asked.workspace,
        as_of=asked.as_of,
        snapshot=results["labels"]["snapshot"],
        parts=[parts.read_result(part) for part in results["calibrate"]],
        backfill=asked.backfill,
        parent_run=asked.parent_run,
    )


def _simulate(asked: Retrain, results: Results) -> "simulate.SimulateResult":
    from tasks.replay import simulate

    release = results["release"]["version"]
    return simulate.run(asked.workspace, release=release, parent_run=asked.parent_run)


def _shadow(asked: Retrain, results: Results) -> "shadow.ShadowResult":
    from tasks.replay import shadow

    release = results["release"]["version"]
    return shadow.run(asked.workspace, as_of=asked.as_of, challenger=release, parent_run=asked.parent_run)


def _gate(asked: Retrain, results: Results) -> "gate.GateResult":
    from tasks.promotion import gate

    runs = gate.StepRuns(
        validation=results["validate"]["run_id"],
        simulation=results["simulate"]["run_id"],
        shadow=results["shadow"]["run_id"],
        later_validation=asked.later_validation,
        override=asked.override,
        reader=asked.reader,
    )
    return gate.run(
        asked.workspace,
        release=results["release"]["version"],
        steps=runs,
        as_of=asked.as_of,
        unchanged=results["release"]["unchanged"],
        parent_run=asked.parent_run,
    )


def _keep_gate(result: "gate.GateResult") -> dict[str, Any]:
    evidence = result.evidence
    kept = {"release": evidence.release, "verdict": evidence.verdict}
    return kept | {"dossier": result.dossier, "run_id": result.run_id}


RETRAIN: Final = (
    PipelineStep("plan", _plan, attrgetter("tasks"), reads_log=True),
    PipelineStep(
        "labels",
        _labels,
        _fields("snapshot", "digest", "partitions_written", "rows", "quarantined"),
        after=("plan",),
        reads_log=True,
    ),
    PipelineStep(
        "validate",
        _validate,
        _fields("success", "severity", "report", "run_id"),
        after=("labels",),
        reads_log=True,
    ),
    PipelineStep(
        "train_trunk",
        _train_trunk,
        _fields("trunk", "version", "why"),
        after=("plan", "labels", "validate"),
        by="trunk",
    ),
    PipelineStep(
        "train",
        _train,
        _keep_part("task", "model", "version", "sha256", "run_id", "reused"),
        after=("plan", "labels", "validate"),
        by="task",
    ),
    PipelineStep(
        "calibrate",
        _calibrate,
        _keep_part("task", "calibrator", "model_version", "calibrator_version", "sha256", "run_id", "reused"),
        after=("train", "train_trunk"),
        by="task",
    ),
    PipelineStep(
        "release",
        _release,
        _fields("release", "version", "sha256", "run_id", "reused", "backfilled", "unchanged"),
        after=("labels", "validate", "calibrate"),
    ),
    PipelineStep(
        "simulate",
        _simulate,
        _fields("release", "baseline", "report", "run_id"),
        after=("release",),
        reads_log=True,
    ),
    PipelineStep(
        "shadow",
        _shadow,
        _fields("challenger", "champion", "day", "candidates", "run_id"),
        after=("release",),
        reads_log=True,
    ),
    PipelineStep(
        "gate",
        _gate,
        _keep_gate,
        after=("plan", "validate", "calibrate", "release", "simulate", "shadow"),
    ),
)
"""The steps of a retrain, in topological order."""
STEPS: Final = {step.name: step for step in RETRAIN}
POLICY_CHANGE: Final = tuple(STEPS[name] for name in ("validate", "release", "simulate", "shadow", "gate"))
"""The steps that make a release of the champion's models under changed policies."""
_RECHECK: Final = tuple(STEPS[name] for name in ("simulate", "shadow", "gate"))


def retrain(
    workspace: "Workspace",
    *,
    as_of: datetime,
    tasks: Sequence[str] = (),
    cadence: Literal["fast", "slow"] = "fast",
    parent_run: str | None = None,
) -> RetrainResult:
    """Retrain a surface as of an instant; warn, and do not wait, if the log has not arrived up to it.

    Parameters
    ----------
    tasks : the tasks to train; by default those of the cadence that are due.
    parent_run : the parent MLflow run of the steps' runs.

    Raises
    ------
    GateRefused
        The labels failed validation critically.
    DataError
        The log lacks what the contracts ask of it; or a task cannot be trained and there is no champion whose
        model it could keep; or none can.
    """
    steps = _Steps(len(RETRAIN))  # until the plan says how many tasks are trained
    with _parent(workspace, "retrain", as_of, parent_run) as parent:
        return _result(_run(RETRAIN, Retrain(workspace, as_of, parent, cadence, tasks, steps=steps), {}))


def apply_policy(workspace: "Workspace", *, parent_run: str | None = None) -> RetrainResult:
    """Make a release of the champion's models under the policies in force; nothing is trained.

    Raises
    ------
    ContractError
        There is no champion, its tasks are not those in force, its policies are, or a policy's content
        changed without its version.
    """
    from tasks.release import parts

    champion, trained = parts.champion_parts(workspace)
    calibrated = [asdict(part) for part in trained]
    known = {"labels": {"snapshot": champion.snapshot.id}, "calibrate": calibrated}
    with _parent(workspace, "policy_change", champion.as_of, parent_run) as parent:
        asked = Retrain(workspace, champion.as_of, parent, steps=_Steps(len(POLICY_CHANGE)))
        return _result(_run(POLICY_CHANGE, asked, known))


@contextmanager
def _parent(workspace: "Workspace", name: str, as_of: datetime, parent_run: str | None) -> Iterator[str]:
    """Open the parent MLflow run of the steps' runs, unless the caller passes one."""
    if parent_run is not None:
        yield parent_run
        return
    from tasks.stores.runs import StepKey
    from tasks.stores.workspace import format_instant

    at = format_instant(as_of)
    key = StepKey(workspace.contracts.name, name, inputs=at)
    with workspace.store.runs.step(key, tags={"as_of": at}) as opened:
        yield opened.run_id


def recheck(
    workspace: "Workspace",
    release: int,
    /,
    *,
    as_of: datetime | None = None,
    override: str = "",
    reader: "ReleaseReader | None" = None,
) -> "gate.GateResult":
    """Evaluate a release against the current champion, as of today; an earlier replay is reused.

    Labels that have matured since the release was made are built and validated too.

    Parameters
    ----------
    as_of : the day of its promotion request; by default the last midnight that the log has passed. The
        age of its parts is taken then, it is shadowed on the traffic before it, and labels mature by it.
    override : the reason for overriding the gates that hold it; the dossier shows it.
    reader : the caller's cache of verified releases; by default everything is read.

    Raises
    ------
    GateRefused
        The case was made longer ago than its reviewers have for their answers, or in the future.
    """
    from tasks.logs.session import share_log
    from tasks.release.view import ReleaseReader
    from tasks.validation import step as validate

    reader = reader or ReleaseReader(workspace)
    manifest = reader.manifest(release)
    checked = validate.run(workspace, as_of=manifest.as_of, snapshot=manifest.snapshot.id)
    with share_log(workspace) as shared:
        day = _recheck_day(shared, release, manifest.as_of, as_of)
        later = _validate_later(shared, day) if day > manifest.as_of else ""
        steps = _Steps(len(_RECHECK))
        asked = Retrain(shared, day, later_validation=later, override=override, reader=reader, steps=steps)
        made = {"version": release, "unchanged": False}
        gate_result: gate.GateResult = _run(
            _RECHECK, asked, {"validate": {"run_id": checked.run_id}, "release": made}
        )
        return gate_result


def _recheck_day(workspace: "Workspace", release: int, made: datetime, as_of: datetime | None) -> datetime:
    """Return the day as of which a release is evaluated again; refuse a day that the log does not cover.

    Parameters
    ----------
    made : the release's own as-of.
    as_of : as it is asked for.
    """
    from tasks.logs import arrival

    now = datetime.now(UTC)
    arrival.warn(workspace, as_of=now)
    newest = max(made, arrival.last_midnight(workspace, as_of=now))
    waits = workspace.contracts.surface.promotion.answer_within + timedelta(days=1)
    if as_of is not None and not newest - waits <= as_of <= newest:
        raise GateRefused(
            f"The request for release {release} was made as of {as_of:%F %T}, and the log has arrived up to "
            f"{newest:%F %T}: start the promotion again to evaluate it as of today"
        )
    return as_of or newest


def _validate_later(workspace: "Workspace", as_of: datetime) -> str:
    """Build and validate labels that have matured since; return the run of the validation."""
    from tasks.labels import build as labels
    from tasks.validation import step as validate

    snapshot = labels.run(workspace, as_of=as_of).snapshot
    return validate.run(workspace, as_of=as_of, snapshot=snapshot).run_id


def _run(steps: Sequence[PipelineStep], asked: Retrain, known: Results) -> Any:
    """Run steps in this process, neighbours on one opened log, and return the last step's result."""
    from tasks.logs.session import share_log

    results: dict[str, Any] = dict(known)
    last: Any = None
    for (reads_log, by), group in groupby(steps, key=attrgetter("reads_log", "by")):
        if by:
            chain, snapshot = [*group], results["labels"]["snapshot"]
            names = results["plan"] if by == "task" else asked.workspace.contracts.surface.trunks
            each = [ModelRetrain(asked, name, snapshot) for name in names]
            results[chain[-1].name] = [_run_one(chain, one, results) for one in each]
            continue
        with share_log(asked.workspace) if reads_log else nullcontext(asked.workspace) as workspace:
            for one in group:
                with asked.steps.begin(one.name):
                    last = one.function(replace(asked, workspace=workspace), results)
                results[one.name] = one.keep(last)
                if one.name == "validate":
                    last.require_success()
    return last


def _run_one(chain: Sequence[PipelineStep], one: ModelRetrain, known: Results) -> Any:
    """Run the steps of one task or trunk; return the result of the last step."""
    results = dict(known)
    for step in chain:
        with one.retrain.steps.begin(step.name, one.name):
            results[step.name] = step.keep(step.function(one, results))
    return results[chain[-1].name]


def _result(gate_result: "gate.GateResult") -> RetrainResult:
    shown = gate_result.evidence.to_json()
    names = ("release", "verdict", "reasons", "gates", "timings")
    return RetrainResult(
        **{name: shown[name] for name in names}, next_step=gate_result.next_step, dossier=gate_result.dossier
    )
