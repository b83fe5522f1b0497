"""What somebody can do who may write to MLflow and not to the home: copy a run, and say something else in it."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from mlflow.entities import Param, RunTag

from tasks.stores.runs import EVIDENCE
from tasks.stores.store import Store


def forge_run(
    home: Path, run_id: str, change: Callable[[str], str], *, tags: Mapping[str, str] | None = None
) -> str:
    """Copy a finished run with all that MLflow holds of it, its evidence changed; return the copy."""
    client = Store.open(home).client
    run = client.get_run(run_id)
    copied = client.create_run(
        run.info.experiment_id, run_name=run.info.run_name, tags={**run.data.tags, **(tags or {})}
    )
    new = copied.info.run_id
    client.log_batch(
        new,
        params=[Param(name, value) for name, value in run.data.params.items()],
        tags=[RunTag("mlflow.runName", str(run.info.run_name))],
    )
    with tempfile.TemporaryDirectory() as folder:
        client.download_artifacts(run_id, "", folder)
        file = Path(folder) / EVIDENCE
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
        client.log_artifacts(new, folder)
    client.set_terminated(new, "FINISHED")
    return str(new)
