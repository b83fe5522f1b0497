"""Tiny tables in the layout of the Complete Journey's parquet files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.datasets import complete_journey
from tasks.datasets.complete_journey import import_complete_journey, week_start

LINE = pa.schema(
    [
        ("household_id", pa.int64()),
        ("store_id", pa.int64()),
        ("basket_id", pa.int64()),
        ("product_id", pa.int64()),
        ("quantity", pa.int64()),
        ("sales_value", pa.float64()),
        ("week", pa.int64()),
        ("transaction_timestamp", pa.timestamp("us")),
    ]
)
PROMOTION = pa.schema(
    [
        ("product_id", pa.int64()),
        ("store_id", pa.int64()),
        ("display_location", pa.string()),
        ("mailer_location", pa.string()),
        ("week", pa.int64()),
    ]
)
PRODUCT = pa.schema(
    [("product_id", pa.int64())]
    + [(name, pa.string()) for name in ("department", "brand", "product_category", "product_type")]
)

Line = tuple[int, int, int, int, int, float, int, datetime]  # the columns of LINE

# (product, department, brand, category, type)
CATALOGUE = [
    (100, "PRODUCE", "National", "FRUIT", "APPLES"),
    (101, "PRODUCE", "Private", "FRUIT", "APPLES"),
    (102, "MISC", "National", None, None),
    (103, "GROCERY", "National", "BREAD", "RYE"),
]


def moment(week: int, days: float = 0.0) -> datetime:
    """Give an instant some days into a promotion week, without zone, as the files hold it."""
    return (week_start(week) + timedelta(days=days)).replace(tzinfo=None)


@dataclass
class Journey:
    """Rows of the three files; ``write`` puts them into a folder."""

    lines: list[Line] = field(default_factory=list)
    promotions: list[tuple[object, ...]] = field(default_factory=list)
    products: list[tuple[object, ...]] = field(default_factory=lambda: list(CATALOGUE))

    def buys(  # noqa: PLR0913 - a transaction line has so many parts
        self,
        household: int,
        product: int,
        week: int,
        *,
        store: int = 10,
        days: float = 1.0,
        value: float = 2.0,
        quantity: int = 1,
        basket: int | None = None,
    ) -> None:
        """Add one line; every line is a basket of its own unless told."""
        number = basket if basket is not None else 1000 + len(self.lines)
        when = moment(week, days)
        self.lines.append((household, store, number, product, quantity, value, week, when))

    def fronts(self, week: int, products: Iterable[int], *, store: int = 10, display: str = "0") -> None:
        """Put products on a store's front page."""
        self.promotions += [(product, store, display, "F", week) for product in products]

    def write(self, folder: Path) -> Path:
        """Write the three files."""
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "transactions.parquet", self.lines, LINE)
        _write(folder / "promotions.parquet", self.promotions, PROMOTION)
        _write(folder / "products.parquet", self.products, PRODUCT)
        return folder


def two_households() -> Journey:
    """Household 1 shops at store 10, household 2 at store 20; weeks 14 and 15 have a front page."""
    made = Journey()
    for week in (5, 11, 13):
        made.buys(1, 100, week, value=2.0)
    made.buys(1, 101, 13, days=3.0, value=9.0, quantity=3)
    made.buys(1, 103, 12, store=20)
    made.buys(2, 103, 13, store=20, value=1.5)
    made.buys(1, 100, 14, days=0.5, value=2.5)
    made.buys(2, 103, 15, store=20, days=6.5)
    made.fronts(14, [100, 101, 102])
    made.fronts(14, [103], store=20, display="7")
    made.fronts(15, [100])
    made.fronts(15, [103], store=20)
    return made


def _write(path: Path, rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> None:
    columns: list[tuple[object, ...]] = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    arrays = [pa.array(list(values), f.type) for values, f in zip(columns, schema, strict=True)]
    pq.write_table(pa.table(arrays, schema=schema), path)


def run(journey: Journey, folder: Path, **options: int) -> complete_journey.ImportResult:
    source = journey.write(folder / "source")
    weeks = {"first_week": 14, **options}
    return import_complete_journey(out=folder / "logs", source=source, memory="1GB", **weeks)


def read(folder: Path, table: str) -> pd.DataFrame:
    files = sorted((folder / "logs" / table).glob("*.parquet"))
    return pa.concat_tables([pq.read_table(f) for f in files]).to_pandas()


def shown(folder: Path, household: int, week: int) -> pd.DataFrame:
    impressions = read(folder, "impressions")
    mine = impressions[impressions.request_id == household * 100 + week]
    return mine.set_index("item_id", drop=False)


def contents(folder: Path) -> dict[str, bytes]:
    logs = folder / "logs"
    return {str(p.relative_to(logs)): p.read_bytes() for p in sorted(logs.rglob("*.parquet"))}
