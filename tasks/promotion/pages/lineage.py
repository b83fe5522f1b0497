"""What a release was made from: every pin with its address in MLflow, and the runs that verdicts rest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tasks.evaluation.verdicts import Verdict
from tasks.stores.manifest import Manifest


@dataclass(frozen=True)
class MlflowPages:
    """Where people open MLflow; every address is empty where only its store is known."""

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
    """One pinned part, and how old its newest training row was when the release was made."""

    name: str
    version: int
    address: str
    sha256: str
    newest: str
    age: str
    slices: str


@dataclass(frozen=True)
class EvidenceRun:
    """A run that verdicts rest on, with the gates that read it."""

    run: str
    address: str
    gates: str


def list_pins(manifest: Manifest, pages: MlflowPages) -> list[Pin]:
    """Lay out every part of a release."""
    ages = manifest.ages()
    return [
        Pin(
            name=part.name,
            version=part.version,
            address=pages.version(part.name, part.version),
            sha256=part.sha256[:16],
            newest="" if part.newest_training_row is None else str(part.newest_training_row),
            age=f"{ages[part.name].days} days" if part.name in ages else "",
            slices=", ".join(f"{name} {first} to {last}" for name, (first, last) in part.slices.items()),
        )
        for part in manifest.parts
    ]


def list_runs(verdicts: Sequence[Verdict], pages: MlflowPages) -> list[EvidenceRun]:
    """Return each run that a verdict names, in the order of the verdicts."""
    gates: dict[str, dict[str, None]] = {}
    for verdict in verdicts:
        if verdict.evidence:
            gates.setdefault(verdict.evidence, {})[verdict.gate] = None
    return [EvidenceRun(run, pages.run(run), ", ".join(of)) for run, of in gates.items()]
