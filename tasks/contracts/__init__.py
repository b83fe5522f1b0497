"""The four YAML contracts of a surface: models, strict loading, cross-checks, digests.

In reading order::

    base, durations, metrics                 the common base model; durations; the metrics that rules name
    tasks, surface, training, gates          tasks.yaml and surface.yaml
    bounds, conditions, constrained          building blocks of policies
    utility, slate, effective_policy         utility.yaml and slate.yaml, and the policy that combines them
    problems, load                           strict reading; all problems of a surface in one report
    crosscheck ── crosscheck_training, crosscheck_utility
    log_sketch, draft                        a first draft of all four files from a log
"""

from tasks.contracts.base import canonical, canonical_json, digest
from tasks.contracts.load import Checked, Contracts, check_surface, load_surface, surface_names
from tasks.contracts.problems import Problem
from tasks.contracts.slate import SlateSpec
from tasks.contracts.surface import SurfaceSpec
from tasks.contracts.tasks import Family, TaskSpec, TasksSpec
from tasks.contracts.utility import UtilitySpec

__all__ = [
    "Checked",
    "Contracts",
    "Family",
    "Problem",
    "SlateSpec",
    "SurfaceSpec",
    "TaskSpec",
    "TasksSpec",
    "UtilitySpec",
    "canonical",
    "canonical_json",
    "check_surface",
    "digest",
    "load_surface",
    "surface_names",
]
