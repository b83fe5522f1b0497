"""What readiness is read from: contracts, one release with all that was found about it, and the audit.

::

    Standing
    ├── contracts                        the four files in force
    ├── release?                         the champion, else the newest release
    │   ├── manifest                     what it is made of
    │   └── judgement?                   the verdicts of its gates, and what they rest on
    └── audit                            each promotion that changed tasks or policies, and what supports it
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
    """What a line comes to."""

    MET = "met"
    NOT_MET = "not met"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class ReadinessLine:
    """One line of the list.

    ``why``: the evidence of what is met, what is missing of what is not, or why it does not apply.
    ``sources``: files of the contracts, the release and MLflow runs that this was read from.
    """

    name: str
    state: State
    why: str
    sources: tuple[str, ...] = ()

    @classmethod
    def met(cls, name: str, why: str, *sources: str) -> Self:
        """Return a line that is met."""
        return cls(name, State.MET, why, tuple(filter(None, sources)))

    @classmethod
    def not_met(cls, name: str, why: str, *sources: str) -> Self:
        """Return a line that lacks something."""
        return cls(name, State.NOT_MET, why, tuple(filter(None, sources)))

    @classmethod
    def not_applicable(cls, name: str, why: str, *sources: str) -> Self:
        """Return a line that does not apply to the surface."""
        return cls(name, State.NOT_APPLICABLE, why, tuple(filter(None, sources)))


def conclusive_subjects(verdicts: Iterable[Verdict]) -> frozenset[str]:
    """Return the subjects of verdicts that pass, warn or block; others are inconclusive or not measured."""
    return frozenset(str(v.subject) for v in verdicts if v.outcome in CONCLUSIVE)


@dataclass(frozen=True)
class GateReading:
    """What the gates said of a release, and what they read; None where that cannot be read any more.

    ``run`` is that of the gate, ``runs`` are those of the steps that it judged by.
    """

    run: str
    verdicts: tuple[Verdict, ...]
    validation: ValidationEvidence | None
    simulation: SimulationEvidence | None
    runs: EvidenceRuns

    def of(self, gate: str, *, outcome: Outcome | None = None) -> tuple[Verdict, ...]:
        """Return the verdicts of one gate, of one outcome where that is given."""
        return tuple(v for v in self.verdicts if v.gate == gate and outcome in {None, v.outcome})

    def conclusive(self, gate: str) -> frozenset[str]:
        """Return what one gate came to a conclusion about: subjects with a pass, a warning or a block."""
        return conclusive_subjects(self.of(gate))

    def findings(self, expectation: str) -> tuple[Finding, ...]:
        """Return what the suite of the labels says of one expectation."""
        found = () if self.validation is None else self.validation.expectations
        return tuple(one for one in found if (one.suite, one.expectation) == ("labels", expectation))


@dataclass(frozen=True)
class ReadRelease:
    """A release with everything that is known of it; ``run`` is the one that made it.

    ``conclusive_before``: the guardrails that are inconclusive here and were conclusive for an earlier
    release.
    """

    version: int
    champion: bool
    manifest: Manifest
    run: str
    reading: GateReading | None = None
    conclusive_before: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What pages call it."""
        return f"release {self.version}"


@dataclass(frozen=True)
class PolicyMove:
    """A promotion that changed tasks or policies: its row in the audit, and what supports the change."""

    row: int
    release: int
    changed: tuple[str, ...]
    experiment: str | None
    waiver: str | None


@dataclass(frozen=True)
class AuditTrail:
    """What the audit says; ``problem`` is why it cannot be believed, empty where it can."""

    promotions: int = 0
    policy_moves: tuple[PolicyMove, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ReadinessFacts:
    """Everything that the readiness of a surface is read from."""

    contracts: Contracts
    release: ReadRelease | None = None
    audit: AuditTrail = AuditTrail()

    @property
    def without_release(self) -> str:
        """Say that there is no release yet, and the way to one."""
        return f"there is no release yet: equipoise retrain {self.contracts.name} --as-of T makes one"

    def without_gates(self, release: ReadRelease) -> str:
        """Say that a release was not judged, and the way to a verdict."""
        return (
            f"{release.name} was not judged: equipoise retrain {self.contracts.name} "
            f"--as-of {release.manifest.as_of:%Y-%m-%dT%H:%M:%SZ} ends in its gates"
        )
