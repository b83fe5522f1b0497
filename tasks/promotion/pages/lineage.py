"""The components of a release with their addresses in MLflow, and the runs with the evidence.

All verdicts are in one table, filtered by gate and outcome without a script: gates are numbered, and each row
carries its gate's number, so the style sheet contains no names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tasks.evaluation.verdicts import WORST_FIRST, Outcome, Verdict
from tasks.reports.phrases import Vocabulary, phrase_verdict
from tasks.stores.manifest import Manifest


@dataclass(frozen=True)
class MlflowPages:
    """The addresses of MLflow pages; empty if the address of MLflow is unknown."""

    address: str = ""
    experiment: str = ""

    def version(self, name: str, version: int) -> str:
        """Return the address of a registered version.

        Examples
        --------
        >>> MlflowPages("http://mlflow", "1").version("feed.release", 3)
        'http://mlflow/#/models/feed.release/versions/3'
        """
        return f"{self.address}/#/models/{quote(name)}/versions/{version}" if self.address else ""

    def run(self, run_id: str) -> str:
        """Return the address of a run of this surface's experiment."""
        if not (self.address and self.experiment and run_id):
            return ""
        return f"{self.address}/#/experiments/{quote(self.experiment)}/runs/{quote(run_id)}"


@dataclass(frozen=True)
class Pin:
    """A pinned component, and the age of its newest training row when the release was made."""

    name: str
    version: int
    address: str
    sha256: str
    newest: str
    age: str
    slices: str


@dataclass(frozen=True)
class EvidenceRun:
    """A run with evidence, and the gates that read it."""

    run: str
    address: str
    gates: str


def list_pins(manifest: Manifest, pages: MlflowPages) -> list[Pin]:
    """Return a row for every component of a release."""
    return [
        Pin(
            name=part.name,
            version=part.version,
            address=pages.version(part.name, part.version),
            sha256=part.sha256[:16],
            newest="" if part.newest_training_row is None else str(part.newest_training_row),
            age="" if (age := manifest.age(part)) is None else f"{age.days} days",
            slices=", ".join(f"{name} {first} to {last}" for name, (first, last) in part.slices.items()),
        )
        for part in manifest.parts
    ]


def list_runs(verdicts: Sequence[Verdict], pages: MlflowPages) -> list[EvidenceRun]:
    """Return each run that verdicts cite, in the order of the verdicts."""
    gates: dict[str, dict[str, None]] = {}
    for verdict in verdicts:
        if verdict.evidence:
            gates.setdefault(verdict.evidence, {})[verdict.gate] = None
    return [EvidenceRun(run, pages.run(run), ", ".join(of)) for run, of in gates.items()]


@dataclass(frozen=True)
class VerdictRow:
    """A verdict, its phrase, its gate's number, and the address of its run."""

    verdict: Verdict
    sentence: str
    gate: int
    address: str


@dataclass(frozen=True)
class VerdictTable:
    """Notable and passed verdicts, with the gates and outcomes that occur and their counts."""

    notable: Sequence[VerdictRow]
    passed: Sequence[VerdictRow]
    gates: Sequence[tuple[int, str, int]]
    outcomes: Sequence[tuple[str, int]]


def tabulate_verdicts(verdicts: Sequence[Verdict], words: Vocabulary, pages: MlflowPages) -> VerdictTable:
    """Tabulate all verdicts, the worst first; verdicts that pass or have no limit are separate."""
    numbers = {gate: n for n, gate in enumerate(dict.fromkeys(verdict.gate for verdict in verdicts))}
    ordered = sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.outcome))
    rows = [VerdictRow(v, phrase_verdict(v, words), numbers[v.gate], pages.run(v.evidence)) for v in ordered]
    quiet = {Outcome.PASS, Outcome.NO_RULE}
    return VerdictTable(
        notable=[row for row in rows if row.verdict.outcome not in quiet],
        passed=[row for row in rows if row.verdict.outcome in quiet],
        gates=[(n, gate, sum(v.gate == gate for v in verdicts)) for gate, n in numbers.items()],
        outcomes=[(o.value, n) for o in WORST_FIRST if (n := sum(v.outcome is o for v in verdicts))],
    )
