"""Parts of the documents that several steps write or read; each step's document stands in its own room.

::

    validate    ValidationEvidence     -> gate                         here
    train       TrainingEvidence       -> refit, release, next retrain training/evidence.py
    same_day    SameDayEvidence        -> gate                         training/same_day.py
    examination ExaminationEvidence    -> release                      training/evidence.py
    calibrate   CalibrationEvidence    -> refit, release               calibration/evidence.py
    release     ReleaseEvidence        -> gate, explanation            evaluation/release_evidence.py
    simulate    SimulationEvidence     -> gate                         replay/evidence.py
    shadow      ShadowEvidence         -> gate                         replay/evidence.py
    gate        GateEvidence           -> promotion                    evaluation/release_evidence.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from tasks.contracts.training import HeadKind
from tasks.evaluation.documents import CLOSED, Document, MaybeFloat, Section

ChangeKind = Literal["scale", "constant", "nulls", "unseen", "distribution"]
ComparedDays = Literal["calibrate", "test", "newest", "served"]


Days = tuple[date, date]
"""First and last day."""


class InputChange(Section):
    """A figure of a feature that lies beyond its bound on later days than those of training.

    ::

        scale          medians of the values other than 0 differ by a factor   more than 5 times past weeks'
        constant       one value holds all rows, as in no past week
        nulls          the share of nulls differs                              20 points above past weeks'
        unseen         share of rows with a category new since training        20 points above past weeks'
        distribution   Jensen-Shannon divergence                               .05 bits above past weeks'

    The release step compares the days that a head learned from with those that it is calibrated and tested on
    and with the newest ones; the shadow compares them with what was served (`tasks.release.inputs`).
    """

    feature: str
    days: ComparedDays
    kind: ChangeKind
    observed: MaybeFloat
    bound: MaybeFloat


class HeadInputs(Section):
    """The features of a head.

    ``gains``: by feature its share of the gain of all splits, 0 where no split uses it. ``changes``: what is
    beyond a bound; ``reason``: why nothing was compared.
    """

    task: str
    gains: dict[str, float]
    changes: tuple[InputChange, ...] = ()
    reason: str = ""


def gain_shares(names: Sequence[str], gains: Sequence[float]) -> dict[str, float]:
    """Return each feature's share of the gain of all splits, the largest first.

    Examples
    --------
    >>> gain_shares(["price", "age"], [1.0, 3.0])
    {'age': 0.75, 'price': 0.25}
    """
    total = sum(gains) or 1.0
    shares = {name: float(gain / total) for name, gain in zip(names, gains, strict=True)}
    return dict(sorted(shares.items(), key=lambda one: -one[1]))


class TaskDays(Section):
    """A task's labels, a number for each day of the calendar.

    ``observed``: with a value, of which ``positive`` are above 0; ``immature``: not known yet; ``left_out``:
    excluded or not applicable. ``failed``: the days that a check of the labels names.
    """

    task: str
    observed: tuple[int, ...]
    positive: tuple[int, ...]
    immature: tuple[int, ...]
    left_out: tuple[int, ...]
    failed: tuple[date, ...] = ()


class LabelCalendar(Section):
    """The newest days of a snapshot, oldest first."""

    days: tuple[date, ...]
    tasks: tuple[TaskDays, ...]

    @model_validator(mode="after")
    def _counts_every_day(self) -> Self:
        for task in self.tasks:
            for counts in (task.observed, task.positive, task.immature, task.left_out):
                if len(counts) != len(self.days):
                    raise ValueError(f"'{task.task}' has {len(counts)} counts for {len(self.days)} days")
        return self


@dataclass(frozen=True)
class Finding:
    """What one expectation said."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    suite: str
    expectation: str
    subject: str
    severity: str
    success: bool
    observed: str
    why: str


class ValidationEvidence(Document):
    """What the suites say of a label snapshot; ``severity`` is the worst that failed.

    ``calendar``: the labels by day.
    """

    document: Literal["validation"] = "validation"
    version: Literal[1] = 1
    snapshot: str
    success: bool
    severity: str | None
    expectations: tuple[Finding, ...]
    report: str
    calendar: LabelCalendar | None = Field(default=None, repr=False)

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, in words."""
        failed = [finding for finding in self.expectations if not finding.success]
        return tuple(f"{one.suite}: {one.expectation} ({one.observed})" for one in failed)


class TaskEvidence(Document):
    """What a part of a task was made from; a refit ``repeats`` the model of this version and sha256."""

    surface: str
    task: str
    as_of: str
    snapshot: str
    contracts: dict[str, str]
    slices: dict[str, Days]
    repeats: tuple[int, str] | None = None
    kind: HeadKind


class PinnedModel(Section):
    """The model that a calibrator was fitted to."""

    name: str
    version: int
    sha256: str
