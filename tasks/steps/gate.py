"""The gate step: all evidence of a release -> Promote or Hold, written to the dossier, the registry and MLflow."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tasks.contracts import digest
from tasks.release.decision import Hold, decide_release
from tasks.release.dossier import Dossier
from tasks.release.evidence import (
    Comparison,
    Evidence,
    ShadowEvidence,
    TaskEvidence,
    ValidationEvidence,
    estimate_from_json,
    verdict_from_json,
)
from tasks.release.gates import judge_release
from tasks.steps.context import Context, format_instant
from tasks.steps.release_view import release_part, release_manifest
from tasks.stores.registry import Registry
from tasks.stores.runs import finished_run, read_evidence, step_run


@dataclass(frozen=True)
class GateResult:
    """The verdict on a release, ``promote`` or ``hold``, with every gate and where the dossier lies."""

    release: int
    verdict: str
    reasons: list[str]
    gates: list[dict[str, Any]]
    dossier: str
    run_id: str
