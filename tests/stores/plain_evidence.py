"""What a run wrote, as the plain JSON that stands in its artifacts."""

import json
from pathlib import Path
from typing import Any

from tasks.stores.runs import EVIDENCE
from tasks.stores.store import Store


def read_plain(home: Path, run_id: str, path: str = EVIDENCE) -> Any:
    return json.loads(Store.open(home).runs.read_text(run_id, path))
