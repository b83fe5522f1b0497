"""The one sequence that Airflow's retrains, the command line, MLflow Projects and a promotion's re-check run.

::

    plan -> labels -> validate -> [train -> calibrate] by task -> release -> simulate, shadow -> gate

`retrain` runs it whole in this process. In Airflow each step is a process of its own, so what a step needs is
imported when it runs. `apply_policy` begins at the release step, with the champion's models; `recheck` runs
the end once more for a release that is to be promoted.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tasks.errors import DataError, GateRefused

if TYPE_CHECKING:
    from tasks.calibration.step import CalibrateResult
    from tasks.promotion.gate import GateResult
    from tasks.release.reader import ReleaseReader
    from tasks.release.trained import KeptChampion, TaskResult
    from tasks.stores.workspace import Workspace
    from tasks.training.rows import TaskRows
    from tasks.training.step import TrainResult

_LOG = logging.getLogger("equipoise")


@dataclass(frozen=True)
class Retrain:
    """A retrain: of which surface, as of which instant, and the MLflow run that its runs belong under."""

    workspace: "Workspace"
    as_of: datetime
    parent_run: str | None = None


@dataclass(frozen=True)
class TaskRetrain:
    """What a retrain does for one task, on a published label snapshot."""

    retrain: Retrain
    task: str
    snapshot: str

    @cached_property
    def rows(self) -> "TaskRows":
        """The task's rows, for training and calibration alike."""
        from tasks.training.rows import TaskRows

        asked = self.retrain
        return TaskRows.open(asked.workspace, task=self.task, as_of=asked.as_of, snapshot=self.snapshot)


@dataclass(frozen=True)
class _Validations:
    """The runs that validated the labels of a release, and those that have matured since (empty: none).

    ``override`` says why what holds the release is to be overridden, where a promotion asks for it, and
    ``reader`` holds what the promotion has read of releases.
    """

    trained: str
    later: str = ""
    override: str = ""
    reader: "ReleaseReader | None" = None


@dataclass(frozen=True)
class RetrainResult:
    """The release that was made and what the gates say of it."""

    release: int
    verdict: str
    reasons: list[str]
    gates: list[dict[str, Any]]
    dossier: str


def retrain(
    workspace: "Workspace",
    *,
    as_of: datetime,
    tasks: Sequence[str] = (),
    cadence: Literal["fast", "slow"] = "fast",
    parent_run: str | None = None,
) -> RetrainResult:
    """Retrain a surface as of an instant; a log that has not arrived up to it is warned of, not waited for.

    Parameters
    ----------
    tasks : the tasks to train; by default those of the cadence that are due.
    parent_run : the MLflow run that the runs of the steps belong under.

    Raises
    ------
    GateRefused
        The labels failed validation critically.
    DataError
        The log lacks what the contracts ask of it; or a task cannot be trained and there is no champion whose
        model it could keep; or none can.
    """
    from tasks.labels import build as labels
    from tasks.logs import arrival
    from tasks.logs.session import share_log
    from tasks.release import step as release
    from tasks.training import plan
    from tasks.validation import step as validate

    asked = Retrain(workspace, as_of, parent_run)
    planned = plan.run(workspace, as_of=as_of, cadence=cadence, tasks=tasks)
    begin = _Progress(total=7 + 2 * len(planned.tasks)).begin
    with share_log(workspace) as shared:
        begin("plan")
        plan.require(shared, planned, as_of=as_of)
        begin("labels")
        snapshot = labels.run(shared, as_of=as_of).snapshot
        arrival.warn(shared, as_of=as_of)
        begin("validate")
        checked = validate.run(shared, as_of=as_of, snapshot=snapshot, parent_run=parent_run)
    checked.require_success()
    parts = [_fit(TaskRetrain(asked, task, snapshot), begin) for task in planned.tasks]
    begin("release")
    made = release.run(workspace, as_of=as_of, snapshot=snapshot, parts=parts, parent_run=parent_run)
    judged = _judge(asked, made.version, _Validations(checked.run_id), stands=made.stands, begin=begin)
    return _result(judged)


def apply_policy(workspace: "Workspace", *, parent_run: str | None = None) -> RetrainResult:
    """Make a release of the champion's models under the policies in force, and judge it; nothing is trained.

    Raises
    ------
    ContractError
        There is no champion, its tasks are not those in force, its policies are, or a policy's content
        changed without its version.
    """
    from tasks.release import step as release
    from tasks.release.policy_change import champion_parts
    from tasks.validation import step as validate

    begin = _Progress(total=5).begin
    begin("validate")
    champion = champion_parts(workspace)
    asked = Retrain(workspace, champion.as_of, parent_run)
    checked = validate.run(workspace, as_of=asked.as_of, snapshot=champion.snapshot, parent_run=parent_run)
    begin("release")
    made = release.run(
        workspace,
        as_of=asked.as_of,
        snapshot=champion.snapshot,
        parts=champion.parts,
        parent_run=parent_run,
    )
    judged = _judge(asked, made.version, _Validations(checked.run_id), begin=begin)
    return _result(judged)


def recheck(
    workspace: "Workspace",
    release: int,
    /,
    *,
    as_of: datetime | None = None,
    override: str = "",
    reader: "ReleaseReader | None" = None,
) -> "GateResult":
    """Judge a release beside the current champion, as of today; what was rehearsed is found again.

    Labels that have matured since the release was made are built and validated beside those it learned from.

    Parameters
    ----------
    as_of : when its case was made, where one was; by default the last midnight that the log has passed. The
        age of its parts is taken then, it is shadowed on the traffic before it, and labels mature by it.
    override : why somebody asks that what holds it be overridden; its dossier says so.
    reader : what whoever asks has read and verified of releases; by default all is read anew.

    Raises
    ------
    GateRefused
        The case was made longer ago than its reviewers have for their answers, or in the future.
    """
    from tasks.logs.session import share_log
    from tasks.release.reader import ReleaseReader
    from tasks.validation import step as validate

    reader = reader or ReleaseReader(workspace)
    manifest = reader.manifest(release)
    checked = validate.run(workspace, as_of=manifest.as_of, snapshot=manifest.snapshot.id)
    with share_log(workspace) as shared:
        asked = Retrain(shared, _recheck_day(shared, release, manifest.as_of, as_of))
        later = _validate_later(asked) if asked.as_of > manifest.as_of else ""
        return _judge(asked, release, _Validations(checked.run_id, later, override, reader))


def _recheck_day(workspace: "Workspace", release: int, made: datetime, as_of: datetime | None) -> datetime:
    """Return the day as of which a release is judged once more; refuse one that the log does not speak for.

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
            f"The case of release {release} was made as of {as_of:%F %T}, and the log has arrived up to "
            f"{newest:%F %T}: start the promotion anew, so that it is judged as of today"
        )
    return as_of or newest


def _validate_later(asked: Retrain) -> str:
    """Build the labels that have matured since and validate them; return the validation's run."""
    from tasks.labels import build as labels
    from tasks.logs.session import share_log
    from tasks.validation import step as validate

    with share_log(asked.workspace) as shared:
        snapshot = labels.run(shared, as_of=asked.as_of).snapshot
        return validate.run(shared, as_of=asked.as_of, snapshot=snapshot).run_id


def train(one: TaskRetrain) -> "TrainResult | KeptChampion":
    """Train a task; one that cannot be trained keeps the champion's model.

    Raises
    ------
    DataError
        The task cannot be trained, and there is no champion whose model it could keep.
    """
    from tasks.release.trained import keep_champion
    from tasks.training import step

    asked = one.retrain
    try:
        return step.train_and_compare(one.rows, parent_run=asked.parent_run)
    except DataError as error:
        return keep_champion(asked.workspace, task=one.task, as_of=asked.as_of, error=error)


def calibrate(one: TaskRetrain, *, model_version: int) -> "CalibrateResult | KeptChampion":
    """Calibrate a task's model; one that cannot be calibrated keeps the champion's. Raises as `train`."""
    from tasks.calibration import step
    from tasks.release.trained import keep_champion

    asked = one.retrain
    try:
        return step.calibrate(one.rows, model_version=model_version, parent_run=asked.parent_run)
    except DataError as error:
        return keep_champion(asked.workspace, task=one.task, as_of=asked.as_of, error=error)


def _fit(one: TaskRetrain, begin: Callable[[str], None]) -> "TaskResult":
    """Train and calibrate a task, or say why it keeps the champion's model."""
    from tasks.release.trained import KeptChampion, Trained

    begin(f"train {one.task}")
    model = train(one)
    if isinstance(model, KeptChampion):
        return model
    begin(f"calibrate {one.task}")
    calibrator = calibrate(one, model_version=model.version)
    if isinstance(calibrator, KeptChampion):
        return calibrator
    return Trained(one.task, model.version, calibrator.version)


def _judge(
    asked: Retrain,
    release: int,
    validated: _Validations,
    *,
    stands: bool = False,
    begin: Callable[[str], None] = lambda _: None,
) -> "GateResult":
    """Rehearse a release and judge it by all evidence."""
    from tasks.logs.session import share_log
    from tasks.promotion import gate
    from tasks.replay import shadow, simulate

    parent_run = asked.parent_run
    with share_log(asked.workspace) as shared:
        begin("simulate")
        simulated = simulate.run(shared, release=release, parent_run=parent_run)
        begin("shadow")
        shadowed = shadow.run(shared, as_of=asked.as_of, challenger=release, parent_run=parent_run)
    begin("gate")
    runs = validated.trained, simulated.run_id, shadowed.run_id, validated.later
    steps = gate.StepRuns(*runs, override=validated.override, reader=validated.reader)
    return gate.run(
        asked.workspace, release=release, steps=steps, as_of=asked.as_of, stands=stands, parent_run=parent_run
    )


def _result(judged: "GateResult") -> RetrainResult:
    return RetrainResult(judged.release, judged.verdict, judged.reasons, judged.gates, judged.dossier)


@dataclass
class _Progress:
    """Says which step begins and how far the whole is."""

    total: int
    begun: int = 0

    def begin(self, step: str) -> None:
        self.begun += 1
        _LOG.info("[%d/%d] %s", self.begun, self.total, step)
