"""The inputs of readiness: contracts, one release with its evidence, and the audit log.

::

    ReadinessFacts
    ├── contracts                        the four files in force
    ├── release?                         the champion, else the newest release
    │   ├── manifest                     its components
    │   └── reading?                     the verdicts of its gates, and the evidence behind them
    └── audit                            each promotion that changed tasks or policies, with its experiment
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from tasks.contracts import Contracts
from tasks.evaluation.evidence import Finding, ValidationEvidence
from tasks.evaluation.release_evidence import EvidenceRuns
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.replay.evidence import SimulationEvidence
from tasks.stores.manifest import Manifest

CONCLUSIVE: Final = frozenset({Outcome.PASS, Outcome.WARN, Outcome.BLOCK})


class State(StrEnum):
    """The result of an item."""

    MET = "met"
    NOT_MET = "not met"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class ReadinessLine:
    """One item of the checklist.

    ``why``: the evidence if it is met, what is missing if not, or why it does not apply.
    ``sources``: contract files, release and MLflow runs that were read.
    """

    name: str
    state: State
    why: str
    sources: tuple[str, ...] = ()

    @classmethod
    def met(cls, name: str, why: str, *sources: str) -> Self:
        """Return an item that is met."""
        return cls(name, State.MET, why, tuple(filter(None, sources)))

    @classmethod
    def not_met(cls, name: str, why: str, *sources: str) -> Self:
        """Return an item that is not met."""
        return cls(name, State.NOT_MET, why, tuple(filter(None, sources)))

    @classmethod
    def not_applicable(cls, name: str, why: str, *sources: str) -> Self:
        """Return an item that does not apply to the surface."""
        return cls(name, State.NOT_APPLICABLE, why, tuple(filter(None, sources)))


def conclusive_decisions(verdicts: Iterable[Verdict]) -> frozenset[str]:
    """Return the subjects on which the gate ``decision`` passes, warns or blocks.

    Others are inconclusive or not measured.
    """
    return frozenset(str(v.subject) for v in verdicts if v.gate == "decision" and v.outcome in CONCLUSIVE)


@dataclass(frozen=True)
class GateReading:
    """The verdicts on a release and their evidence, which is None if it can no longer be read.

    ``run`` is the gate's run; ``runs`` are the runs of the steps whose evidence it read.
    """

    run: str
    verdicts: tuple[Verdict, ...]
    validation: ValidationEvidence | None
    simulation: SimulationEvidence | None
    runs: EvidenceRuns

    def of(self, gate: str, *, outcome: Outcome | None = None) -> tuple[Verdict, ...]:
        """Return the verdicts of one gate, optionally of one outcome only."""
        return tuple(v for v in self.verdicts if v.gate == gate and outcome in {None, v.outcome})

    def findings(self, expectation: str) -> tuple[Finding, ...]:
        """Return the findings of one expectation of the labels suite."""
        found = () if self.validation is None else self.validation.expectations
        return tuple(one for one in found if (one.suite, one.expectation) == ("labels", expectation))


@dataclass(frozen=True)
class ReadRelease:
    """A release with its evidence; ``run`` is the run that made it.

    ``conclusive_before``: guardrails that are inconclusive here and were conclusive for an earlier release.
    """

    version: int
    champion: bool
    manifest: Manifest
    run: str
    reading: GateReading | None = None
    conclusive_before: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name shown on pages."""
        return f"release {self.version}"


@dataclass(frozen=True)
class PolicyMove:
    """A promotion that changed tasks or policies: its audit row, and its experiment or waiver."""

    row: int
    release: int
    changed: tuple[str, ...]
    experiment: str | None
    waiver: str | None


@dataclass(frozen=True)
class AuditTrail:
    """The relevant rows of the audit log; ``problem`` is why it is not valid, or empty."""

    promotions: int = 0
    policy_moves: tuple[PolicyMove, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ReadinessFacts:
    """All inputs of a surface's readiness."""

    contracts: Contracts
    release: ReadRelease | None = None
    audit: AuditTrail = AuditTrail()

    @property
    def without_release(self) -> str:
        """Report that there is no release, with the command that makes one."""
        return f"there is no release yet: equipoise retrain {self.contracts.name} --as-of T makes one"

    def without_gates(self, release: ReadRelease) -> str:
        """Report that a release has no verdicts, with the command that produces them."""
        return (
            f"{release.name} was not evaluated: equipoise retrain {self.contracts.name} "
            f"--as-of {release.manifest.as_of:%Y-%m-%dT%H:%M:%SZ} ends in its gates"
        )
