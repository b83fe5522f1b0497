"""The end state of a home without what differs between two runs: run ids, times and the home's own path.

::

    labels       each published snapshot's id, and that of the newest build
    versions     each registered model's versions with the digest of their bytes, those of releases among them
    aliases      of the surface's releases
    audit        every row without its time and its seal
    open runs    MLflow runs that nobody ended
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.contracts import digest
from tasks.labels.store import LabelStore
from tasks.stores.registry import Registry
from tasks.stores.store import Store

Plain = dict[str, Any]
_OF_THE_RUN = {"at", "seal"}


def read_state(home: Path, surface: str) -> Plain:
    """Return the end state of a surface in a home, as plain JSON."""
    registry, labels = Store.open(home).registry, LabelStore(Store.open(home), surface)
    models = sorted(model.name for model in registry.client.search_registered_models(max_results=1000))
    versions = {name: [[p.version, p.sha256] for p in registry.versions(name)] for name in models}
    last = labels.last()
    return {
        "labels": None if last is None else [last.id, labels.published(last.id)],
        "versions": versions,
        "aliases": registry.aliases(f"{surface}.release") if f"{surface}.release" in models else {},
        "audit": [_row(entry.to_json()) for entry in Store.open(home).audit(surface).entries()],
        "open runs": sorted(_open_runs(registry, surface)),
    }


def state_digest(state: Plain) -> str:
    """Return the digest of an end state."""
    return digest(json.loads(json.dumps(state)))


def differences(expected: Plain, found: Plain) -> list[str]:
    """Say which entries of two states differ."""
    return [
        f"{name}: {expected[name]} -> {found[name]}" for name in expected if expected[name] != found[name]
    ]


def _row(row: Plain) -> Plain:
    return {name: value for name, value in row.items() if name not in _OF_THE_RUN}


def _open_runs(registry: Registry, surface: str) -> Iterator[str]:
    experiment = registry.client.get_experiment_by_name(surface)
    if experiment is not None:
        for run in registry.client.search_runs([experiment.experiment_id]):
            if run.info.status not in {"FINISHED", "KILLED"}:
                yield str(run.data.tags.get("step"))
