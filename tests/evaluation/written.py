"""Examples of every evidence document, by name."""

import json
from pathlib import Path
from typing import Any

from tasks.calibration.choice import CalibrationEvidence
from tasks.evaluation.documents import Document
from tasks.evaluation.evidence import ValidationEvidence
from tasks.evaluation.release_evidence import GateEvidence, ReleaseEvidence
from tasks.replay.evidence import ShadowEvidence, SimulationEvidence
from tasks.training.evidence import ExaminationEvidence, TrainingEvidence
from tasks.training.trunk_step import TrunkEvidence

FOLDER = Path(__file__).parent / "documents"
KINDS: dict[str, type[Document]] = {
    "training": TrainingEvidence,
    "training_of_a_refit": TrainingEvidence,
    "calibration": CalibrationEvidence,
    "calibration_of_a_refit": CalibrationEvidence,
    "calibration_of_a_trunk": CalibrationEvidence,
    "trunk": TrunkEvidence,
    "examination": ExaminationEvidence,
    "validation": ValidationEvidence,
    "release": ReleaseEvidence,
    "simulation": SimulationEvidence,
    "shadow": ShadowEvidence,
    "shadow_of_a_first_release": ShadowEvidence,
    "gate": GateEvidence,
}


def text(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def plain(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(text(name))
    return read


def document(name: str) -> Any:
    return KINDS[name].read(text(name), where="Run r1")
