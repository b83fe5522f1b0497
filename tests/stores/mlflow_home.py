"""An MLflow home for tests: the database is made once a process, then copied."""

import functools
import shutil
import sqlite3
import tempfile
from pathlib import Path

from tasks.stores.database import follow_home
from tasks.stores.tracking import connect


@functools.cache
def _template() -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        connect(folder)
        source, copy = sqlite3.connect(folder / "mlflow/mlflow.db"), sqlite3.connect(":memory:")
        source.backup(copy)
        data = copy.serialize()
        source.close()
        copy.close()
    finally:
        shutil.rmtree(folder)
    return data


def new_home(folder: Path) -> Path:
    """Put an empty store below a folder."""
    place = folder / "mlflow"
    place.mkdir(parents=True)
    (place / "mlflow.db").write_bytes(_template())
    (place / "format").write_text("1\n")
    follow_home(folder)
    return folder
