"""A tiny download in the layout of the Open Bandit Dataset: two policies, one campaign of three items."""

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ITEMS = 3
HEADER = [
    *("", "timestamp", "item_id", "position", "click", "propensity_score"),
    *(f"user_feature_{n}" for n in range(4)),
    *(f"user-item_affinity_{n}" for n in range(ITEMS)),
]
Row = dict[str, Any]


@dataclass
class Bandit:
    """Rows of each policy; ``write`` puts them into a folder."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    header: list[str] = field(default_factory=lambda: list(HEADER))

    def shows(self, policy: str, item: int, *, click: int = 0, **columns: Any) -> Row:
        """Add a row and return it."""
        rows = self.rows.setdefault(policy, [])
        row: Row = dict.fromkeys(HEADER, "") | {f"user_feature_{n}": f"u{n}" for n in range(4)}
        row |= {f"user-item_affinity_{n}": float(n) for n in range(ITEMS)}
        row |= {"": len(rows), "timestamp": f"2019-11-{24 + len(rows) // 2} 00:00:17.004101+00:00"}
        row |= {"item_id": item, "position": 1, "click": click, "propensity_score": 0.25} | columns
        rows.append(row)
        return row

    def write(self, folder: Path, *, packed: bool = True) -> Path:
        """Write all files; categories are hashed anew for each policy."""
        for policy, rows in self.rows.items():
            place = folder / policy / "all"
            place.mkdir(parents=True, exist_ok=True)
            text = write_rows(self.header, [[row.get(name, "") for name in self.header] for row in rows])
            if packed:
                (place / "all.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
            else:
                (place / "all.csv").write_text(text, encoding="utf-8")
            items = [
                [n, n, n / 2, f"{policy}-{n // 2}", f"{policy}-x", f"{policy}-{n}"] for n in range(ITEMS)
            ]
            names = ["", "item_id", *(f"item_feature_{n}" for n in range(4))]
            (place / "item_context.csv").write_text(write_rows(names, items), encoding="utf-8")
        return folder


def write_rows(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def small() -> Bandit:
    """Four impressions of two days; the random policy's second item is clicked."""
    made = Bandit()
    made.shows("random", 0)
    made.shows("random", 2, click=1, position=3)
    made.shows("random", 1)
    made.shows("bts", 2, propensity_score=0.9)
    return made


def read(folder: Path, table: str) -> pd.DataFrame:
    return pa.concat_tables(
        [pq.read_table(f) for f in sorted((folder / table).glob("*.parquet"))]
    ).to_pandas()
