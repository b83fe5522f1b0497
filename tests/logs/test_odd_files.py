"""Whatever a log's files hold, the log is opened and read, or refused in one message of ours."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import EquipoiseError
from tests.logs.small_log import Shop, events, impressions

NAMES = st.one_of(
    st.sampled_from(
        ["ds", "DS", "EVENT", "Kind", "_place", "filename", "rowid", "select", "click", "", " ", "a.b", "kind.x",
         'a"b', "a'b", "a(b)", "STRUCT(x INT)", "TIME", "\x00", "a\x00b", "a\nb", "x" * 300, "number", "shown"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=12),
)  # fmt: skip
INSTANTS = st.sampled_from([2**63 - 1, -(2**63) + 1, 253_402_300_800_000_000, -62_135_596_800_000_001, 0])


@st.composite
def columns(draw: st.DrawFn, rows: int) -> pa.Array:
    """Draw a column of a type that some writer writes."""
    first, second = draw(NAMES), draw(NAMES)
    whole = pa.array([draw(INSTANTS)] * rows, pa.int64())
    return draw(
        st.sampled_from(
            [
                pa.array([{first: 1, second: "x"}] * rows),
                pa.array([[{first: [{second: 1}]}]] * rows),
                pa.array([[("k", {first: 1})]] * rows, pa.map_(pa.string(), pa.struct({first: pa.int64()}))),
                whole.cast(pa.timestamp("us", "UTC")),
                whole.cast(pa.timestamp("us")),
                pa.array([2**31 - 1] * rows, pa.int32()).cast(pa.date32()),
                pa.array([10**30] * rows, pa.decimal128(38, 0)),
                pa.array([1] * rows, pa.uint64()),
                pa.array([b"\x00\xff"] * rows),
                pa.array([float("inf")] * rows),
                pa.nulls(rows),
            ]
        )
    )


def open_and_read(shop: Shop) -> str:
    """Read all of a log; return the error of ours that says what is wrong with it, if anything is."""
    try:
        with shop.opened(100) as log:
            for table, names in (("impressions", log.log.impressions), ("events", log.log.events)):
                log.read(table, names, as_of=datetime(2024, 4, 1, tzinfo=UTC))
    except EquipoiseError as error:
        return str(error)
    return ""


@settings(max_examples=40)
@given(data=st.data(), table=st.sampled_from(["impressions", "events"]), statistics=st.booleans())
def test_columns_of_any_name_and_type_are_read_or_refused(
    data: st.DataObject, table: str, statistics: bool
) -> None:
    with TemporaryDirectory() as home:
        shop = Shop(Path(home)).put("impressions", impressions()).put("events", events())
        file = shop.logs / "shop" / table / "0.parquet"
        rows = pq.read_table(file)
        for _ in range(data.draw(st.integers(1, 2))):
            with suppress(pa.ArrowException, UnicodeError):  # pyarrow itself cannot make such a column
                rows = rows.append_column(data.draw(NAMES), data.draw(columns(rows.num_rows)))
        with suppress(pa.ArrowException, OSError):
            pq.write_table(rows, file, write_statistics=statistics)
        assert "\x00" not in open_and_read(shop)


@pytest.mark.parametrize("place", range(1, 9))
@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit_of_the_length_or_the_name_of_a_footer_is_one_message(
    tmp_path: Path, place: int, bit: int
) -> None:
    shop = Shop(tmp_path).put("impressions", impressions()).put("events", events())
    file = shop.logs / "shop/impressions/0.parquet"
    spoilt = bytearray(file.read_bytes())
    spoilt[-place] ^= 1 << bit
    file.write_bytes(bytes(spoilt))
    said = r"impressions cannot be read: .*Deliver the file again"
    with pytest.raises(EquipoiseError, match=said), shop.opened():
        pass
