"""Whatever strings and times a log holds, a build ends in labels or in one message with exit code 2."""

from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tests.feeds.days_of_logs import NAME, Logs
from tests.stores.local_path import local

STRINGS = [
    "\x1b[31mred\x1b[0m",
    "a\x00b",
    "\x00",
    "x" * 1_000_000,
    "\u202eabc",
    "a\nb\rc",
    "",
    " ",
    "\ud7ff",
    "%s{}",
]
TIMES = [
    2**63 - 1,
    -(2**63) + 1,
    253_402_300_799_999_999,
    253_402_300_800_000_000,
    -62_135_596_800_000_001,
    0,
]
COLUMNS = {
    "impressions": ["request_id", "user_id", "kind", "shown_at", "since"],
    "events": ["event", "user_id", "request_id", "happened_at", "ingested_at"],
}


def replace_some(table: pa.Table, name: str, dice: Random) -> pa.Table:
    """Give a third of a column's rows an odd value; a column that is not there is one of times."""
    odd: list[Any] = table.column(name).to_pylist() if name in table.column_names else [None] * len(table)
    if name.endswith("_at") or name == "since":
        whole = table.column(name).cast(pa.int64()).to_pylist() if name in table.column_names else odd
        values = [dice.choice(TIMES) if dice.random() < 1 / 3 else value for value in whole]
        column = pa.array(values, pa.int64()).cast(pa.timestamp("us", "UTC"))
    else:
        value = dice.choice(STRINGS)
        column = pa.array([value if dice.random() < 1 / 3 else own for own in odd], pa.string())
    kept = table.drop_columns([name]) if name in table.column_names else table
    return kept.append_column(name, column)


@pytest.mark.parametrize("seed", range(10))
def test_odd_strings_and_times_end_in_labels_or_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    dice = Random(seed)  # noqa: S311 - test data
    workspace = Logs.random(tmp_path, seed=1).write()
    table = dice.choice(sorted(COLUMNS))
    name = dice.choice(COLUMNS[table])
    (file, *_) = sorted(local(workspace.logs / NAME / table).iterdir())
    pq.write_table(
        replace_some(pq.read_table(file), name, dice), file, write_statistics=dice.random() < 1 / 2
    )
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    code = main(["labels", "build", NAME, "--as-of", "2024-03-09T00:00:00Z", *where])
    printed = capsys.readouterr()
    assert code in (0, 2), printed.err
    assert "Traceback" not in printed.err
    assert not {"\x1b", "\x00", "\u202e"} & {*printed.err, *printed.out}
    assert max(map(len, printed.err.splitlines()), default=0) < 3_000
