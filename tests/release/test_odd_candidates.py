"""Whatever columns a file of candidates holds, it is scored whole or refused in one message; the rules hold."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.cli import main
from tasks.release import score, view
from tests.feeds.mini import NAME, Retrained

pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")  # pyarrow, of a column with a zone
ROWS = 40


def odd_columns() -> list[pa.Array]:
    """Return a column of each type, and of each value, that some writer writes in the place of another."""
    whole = pa.array([2**63 - 1] * ROWS, pa.int64())
    return [
        pa.nulls(ROWS),
        pa.nulls(ROWS, pa.string()),
        whole,
        whole.cast(pa.timestamp("us")),
        whole.cast(pa.timestamp("us", "UTC")),
        pa.array([2**31 - 1] * ROWS, pa.int32()).cast(pa.date32()),
        pa.array([2**64 - 1] * ROWS, pa.uint64()),
        pa.array([10**30] * ROWS, pa.decimal128(38, 0)),
        pa.array([float("inf")] * ROWS),
        pa.array([float("nan")] * ROWS),
        pa.array([-1e308] * ROWS),
        pa.array([None, *[1e308] * (ROWS - 1)]),
        pa.array(["true"] * ROWS),
        pa.array(["", *["x" * 999] * (ROWS - 1)]),
        pa.array([None, *["\x1b[2J"] * (ROWS - 1)]),
        pa.array([b"\x00\xff"] * ROWS),
        pa.array([True, None] * (ROWS // 2)),
        pa.array([[1, 2]] * ROWS),
        pa.array([{"x": 1}] * ROWS),
        pa.array(["a", None] * (ROWS // 2)).dictionary_encode(),
        pa.array([0.1, 1e-320] * (ROWS // 2), pa.float32()),
    ]


@pytest.fixture(scope="module")
def candidates(mini_world: Path) -> pa.Table:
    """The first rows of one request."""
    table = pq.read_table(mini_world / "candidates" / "2026-02-11.parquet").drop_columns(["shown_at"])
    return table.slice(0, ROWS).combine_chunks()


@pytest.fixture(scope="module", autouse=True)
def _loaded_once(first_retrain: Retrained) -> Iterator[None]:
    """Every example scores with the same release, read from the registry once."""
    loaded = view.load_to_serve(first_retrain.workspace, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "load_to_serve", lambda workspace, version: loaded)
        yield


PLACES = st.integers(0, 30)
"""Columns of the candidates."""
ODD = st.integers(0, len(odd_columns()) - 1)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    replaced=st.dictionaries(PLACES, ODD, min_size=1, max_size=2),
    added=st.none()
    | st.tuples(st.sampled_from(["utility", "rank", "ITEM_ID", "p_click_30m", "", "a.b"]), ODD),
)
def test_candidates_with_any_odd_column_are_scored_or_refused(
    first_retrain: Retrained,
    candidates: pa.Table,
    replaced: dict[int, int],
    added: tuple[str, int] | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, odd = candidates, odd_columns()
    for place, column in replaced.items():
        table = table.set_column(place, table.column_names[place], odd[column])
    if added:
        table = table.append_column(added[0], odd[added[1]])
    with TemporaryDirectory() as folder:
        source, out = Path(folder) / "candidates.parquet", Path(folder) / "scored.parquet"
        pq.write_table(table, source)
        workspace = first_retrain.workspace
        words = ["score", NAME, "--release", "1", "--input", str(source), "--out", str(out)]
        code = main([*words, "--home", str(workspace.home), "--surfaces", str(workspace.surfaces)])
        printed = capsys.readouterr()
        assert code in {0, 2}, printed.err
        assert out.exists() == (code == 0)
        if code == 0:
            scored = pd.read_parquet(out)
            assert len(scored) == ROWS
            assert scored.loc[scored["slate_position"].notna(), "dropped_by"].isna().all()
            assert scored.loc[scored["slate_position"].notna(), "utility"].notna().all()
