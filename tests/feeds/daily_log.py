"""Thirty quiet days of a shop, written row by row: a healthy log that a test can break in one place.

Each day has 40 requests of two items. Three requests in four click their first item, one in four hides its second, and the
days differ by a request or two.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.evaluation.evidence import Finding
from tasks.labels import build as labels
from tasks.stores.workspace import Workspace
from tasks.validation.measure import measure
from tasks.validation.step import run_suite, suites_and_facts

NAME = "shop"
FIRST = datetime(2026, 3, 2, tzinfo=UTC)
DAYS, REQUESTS = 30, 40

SURFACE = """
surface: shop
version: 1
owner: tests
reviewers: {product: [ana]}
sources: {impressions: shop/impressions/*.parquet, events: shop/events/*.parquet}
features: {numeric: [price], categorical: [kind]}
segments: [kind]
split: {train: P7D, calibrate: P3D, test: P3D}
base_rates: {click_1h: [0.1, 0.9]}
"""
TASKS = """
contract: shop-labels
version: 1
tasks:
  click_1h: {family: engagement, positive: {event: click, within: PT1H}, observed_when: {column: visible}}
  hide_7d: {family: negative, positive: {event: hide, within: P7D}, maturity: P8D}
"""
UTILITY = """
policy: shop-utility
version: 1
owner: tests
approvals: [product]
weights: {click_1h: 1.0, hide_7d: -5.0}
guardrails: [{metric: hide_7d_rate, relative_increase_max: 0.05, action: block}]
"""
SLATE = "{policy: shop-slate, version: 1, length: 2, max_per: {brand: 2}}\n"

IMPRESSIONS = pa.schema(
    [
        ("request_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("shown_at", pa.timestamp("us", "UTC")),
        ("visible", pa.bool_()),
        ("price", pa.float64()),
        ("kind", pa.string()),
        ("brand", pa.string()),
    ]
)
EVENTS = pa.schema(
    [
        ("event", pa.string()),
        ("happened_at", pa.timestamp("us", "UTC")),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("request_id", pa.string()),
        ("ingested_at", pa.timestamp("us", "UTC")),
    ]
)
Row = dict[str, Any]


def on(day: int, hour: float = 0) -> datetime:
    """Return an hour of a day; day 0 is the first."""
    return FIRST + timedelta(days=day, hours=hour)


END = on(DAYS)


@dataclass
class DailyLog:
    """The rows; a test changes them before they are written."""

    home: Path
    impressions: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)

    @classmethod
    def healthy(cls, folder: Path) -> "DailyLog":
        log = cls(folder / "home")
        for day in range(DAYS):
            for n in range(REQUESTS + day % 3):
                log.request(day, n)
        contracts = {"surface": SURFACE, "tasks": TASKS, "utility": UTILITY, "slate": SLATE}
        (folder / "surfaces" / NAME).mkdir(parents=True)
        for name, text in contracts.items():
            (folder / "surfaces" / NAME / f"{name}.yaml").write_text(text, encoding="utf-8")
        return log

    def request(self, day: int, n: int, name: str = "r") -> None:
        """Show two items, of which the first may be clicked and the second hidden."""
        at, user = on(day, 24 * n / (REQUESTS + 8)), f"u{(7 * n + day) % 61}"
        request = f"{name}{day}-{n}"
        for place in (1, 2):
            kind = "abc"[(n + place) % 3]
            row = {"request_id": request, "user_id": user, "item_id": f"i{day}-{n}-{place}", "shown_at": at}
            self.impressions.append(
                {**row, "brand": f"b{n}", "visible": True, "price": (n * place) % 17 / 2, "kind": kind}
            )
        if n % 4:
            self.event("click", self.impressions[-2])
        else:
            self.event("hide", self.impressions[-1])

    def event(self, name: str, shown: Row, *, minutes: float = 2, arrives: float = 1) -> None:
        happened = shown["shown_at"] + timedelta(minutes=minutes)
        of = {key: shown[key] for key in ("user_id", "item_id", "request_id")}
        arrived = happened + timedelta(minutes=arrives)
        self.events.append({"event": name, "happened_at": happened, **of, "ingested_at": arrived})

    def drop(self, table: str, which: Callable[[Row], bool]) -> None:
        rows = getattr(self, table)
        rows[:] = [row for row in rows if not which(row)]

    def write(self, **more: pa.Table) -> Workspace:
        """Write the tables, and more of them as further files."""
        tables = {
            "impressions": pa.Table.from_pylist(self.impressions, IMPRESSIONS),
            "events": pa.Table.from_pylist(self.events, EVENTS),
        }
        for part, found in (("a", tables), ("b", more)):
            for table, rows in found.items():
                folder = self.home / "logs" / NAME / table
                folder.mkdir(parents=True, exist_ok=True)
                pq.write_table(rows, folder / f"{part}.parquet")
        return Workspace.open(NAME, surfaces=self.home.parent / "surfaces", home=self.home)

    def failures(self, *, as_of: datetime = END, **more: pa.Table) -> dict[tuple[str, str], Finding]:
        """Label and judge the log; return what failed by suite and expectation."""
        workspace = self.write(**more)
        snapshot = labels.build_snapshot(workspace, as_of=as_of)
        suites, facts = suites_and_facts(workspace.contracts, snapshot)
        measured = measure(workspace, snapshot)
        results = [run_suite(suite, measured[name], facts=facts) for name, suite in suites.items()]
        return {
            (f.suite, f.expectation.removeprefix("expect_")): f
            for r in results
            for f in r.findings
            if not f.success
        }
