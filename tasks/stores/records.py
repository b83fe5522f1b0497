"""What steps wrote, recorded in the home: MLflow holds it, and whoever may write to MLflow cannot change it.

::

    evidence/<run>/run.json       the run's tags and the sha256 of each text that it wrote, evidence.json too
    evidence/<run>/<model>.json   the tags of the version that the run registered, its sha256 among them

They lie where the audit does (`store_of`), a file for each run and version, written whole or not at all. A
run counts only with its record, and only as what the record says of it: a run that somebody else made, or
whose tags, figures or files were changed, is no evidence. Where a record is lost, its step is run again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tasks.errors import StoreError
from tasks.stores.location import Location, read_bytes, store_of, write_bytes

FOLDER: Final = "evidence"
_RUN: Final = "run"
_RUN_ID: Final = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True)
class Record:
    """The tags by which a run or a version is found, and the sha256 of each text of a run by its path."""

    tags: Mapping[str, str]
    files: Mapping[str, str]

    def carries(self, tags: Mapping[str, str]) -> bool:
        """Whether it was recorded with all of these tags."""
        return tags.items() <= self.tags.items()


def write_record(home: Path, run_id: str, record: Record, *, of: str = _RUN) -> None:
    """Record a run, or the version of the model ``of`` that it registers."""
    content = json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"
    write_bytes(_file(home, run_id, of), content.encode())


def read_record(home: Path, run_id: str, *, of: str = _RUN) -> Record | None:
    """Return the record of a run, or of the version of the model ``of`` that it registered.

    Returns
    -------
    None where there is no record.

    Raises
    ------
    StoreError
        It cannot be read.
    """
    if not _RUN_ID.fullmatch(run_id):  # a version may name any text as its run, a path out of here as well
        return None
    file = _file(home, run_id, of)
    if not file.is_file():
        return None
    try:
        return Record(**json.loads(read_bytes(file)))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"The record {file} cannot be read: {error}. Run its step again.") from error


def require_record(home: Path, run_id: str) -> Record:
    """Return the record of a run.

    Raises
    ------
    StoreError
        There is none.
    """
    record = read_record(home, run_id)
    if record is None:
        raise StoreError(
            f"Run {run_id} is not recorded in {store_of(home) / FOLDER}, so what MLflow holds of it is no "
            "evidence. Run its step again."
        )
    return record


def _file(home: Path, run_id: str, of: str) -> Location:
    return store_of(home) / FOLDER / run_id / f"{of}.json"
