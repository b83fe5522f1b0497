"""The show_dossier step: the page of a release that was judged, written anew from what was kept of it."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import ContractError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.promotion.compose import recompose
from tasks.stores.releases import release_part
from tasks.stores.workspace import Workspace, write_report


@dataclass(frozen=True)
class ShownDossier:
    """A release's verdict, and where its page lies; ``opened`` in a browser or not."""

    release: int
    verdict: str
    dossier: str
    opened: bool


def run(workspace: Workspace, *, release: str | int, browse: bool) -> ShownDossier:
    """Write the dossier of a release, from the verdicts of the gate that judged it last."""
    part = release_part(workspace, release)
    gate = workspace.store.runs.newest(workspace.surface, step="gate", release=part.version)
    if gate is None:
        raise ContractError(
            f"No gate has judged {part}: it has no dossier. Retrain, or promote it, and it is judged."
        )
    dossier = recompose(workspace, part.version, workspace.store.runs.read_evidence(gate, GateEvidence))
    tagged = workspace.store.registry.tags(part).get("dossier")
    name = Path(tagged).name if tagged else f"dossier-release-{part.version}.html"
    path = write_report(workspace, name, dossier.to_html())
    opened = browse and webbrowser.open(Path(path).resolve().as_uri())
    return ShownDossier(part.version, dossier.verdict, str(path), opened)
