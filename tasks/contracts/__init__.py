"""The four YAML contracts of a surface: models, strict loading, cross-checks, digests."""

from tasks.contracts.digest import canonical, canonical_json, digest
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
