"""Weekly: remove what the surface's `keep` no longer keeps."""

from typing import Any

from airflow.sdk import DAG

from dags.note import tell
from dags.place import open_workspace
from dags.step import step
from dags.surfaces import describe, for_every_surface
from tasks.contracts import Contracts
from tasks.contracts.surface import Keep

RUNBOOK = """
## Triage

A red run may have removed some of the items that it named, and nothing that is needed. Clear the step after
the cause is fixed: it continues where it stopped.

- **`AuditMismatch`**: audit, registry and aliases differ, and nothing was removed.
  The message names the rollback that repairs it.
- **`StoreError`**: a store did not answer, or a release that stays cannot be read. `equipoise release verify
  SURFACE REF` shows what is wrong.
- **`ContractError`**: a contract cannot be read; `equipoise check SURFACE` shows every problem.
- **`DataError`**: none of its own; report it.

### What it does

Removes releases, runs, models and label files that `keep` of surface.yaml does not keep, and adds a row to
the audit. Where surface.yaml declares no `keep`, it does nothing.

### By hand

`equipoise prune SURFACE --dry-run` prints what would be removed, and what is kept and why.
"""


@step
def prune(surface: str) -> dict[str, Any]:
    """Remove what is no longer kept."""
    from tasks.promotion import prune
    from tasks.reports.numbers import format_counted

    workspace = open_workspace(surface)
    if workspace.contracts.surface.keep == Keep():
        tell("surface.yaml declares no keep")
        return {"removed": {}}
    result = prune.run(workspace)
    counts = {one.kind: one.count for one in result.removed}
    named = [format_counted(count, kind.removesuffix("s")) for kind, count in counts.items() if count]
    tell("; ".join([f"removed {', '.join(named)}" if named else "nothing to remove", *result.notes]))
    return {"removed": counts}


def pruning(contracts: Contracts) -> DAG:
    """Name the one step."""
    with DAG(**describe(contracts, "prune", cron=contracts.surface.schedule.prune, runbook=RUNBOOK)) as dag:
        prune(surface=contracts.name)
    return dag


globals().update(for_every_surface("prune", pruning))
