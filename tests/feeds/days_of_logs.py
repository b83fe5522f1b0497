"""A surface with every kind of rule and a random log of ten days, which tests can cut, spoil and extend."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.stores.workspace import Workspace
from tests.labels import worlds
from tests.labels.reference import Row

NAME = "days_of_logs"
START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 10

_FILES = {
    "surface": """
surface: days_of_logs
version: 1
owner: tests
reviewers: {product: [ana]}
sources: {impressions: days_of_logs/impressions, events: days_of_logs/events}
features: {categorical: [kind]}
arrival: {within: $within}
split: {train: P2D, calibrate: P1D, test: P1D}
minimum: {train: P1D}
""",
    "tasks": """
contract: days-of-logs
version: 1
tasks:
  click: {family: engagement, positive: {event: click, within: PT2H}, maturity: PT3H, loss_weight: 2.0}
  buy:
    family: conversion
    positive: {event: buy, within: P1D, credit: last_touch}
    exclude: [{event: stock_out, on: item}]
  back: {family: negative, positive: {event: back, within: P2D, after: buy}}
  spend:
    family: conversion
    level: request
    kind: value
    value: {event: buy, within: P1D, match: [user_id], aggregate: sum}
  kept: {family: satisfaction, compose: {all_of: [click], none_of: [back]}}
""",
    "utility": """
policy: days-of-logs
version: 1
owner: tests
approvals: [product]
weights: {click: 1.0}
guardrails: [{metric: back_rate, relative_increase_max: 0.05, action: block}]
""",
    "slate": "{policy: days-of-logs, version: 1, length: 2}\n",
}


def at(day: float) -> datetime:
    """Return an instant of March: 5.5 is noon of the fifth."""
    return START + timedelta(days=day - 1)


def day(n: int) -> date:
    return date(2024, 3, n)


@dataclass
class Logs:
    """The log as rows in memory; ``write`` puts them where the surface reads them.

    ``within`` is the surface's ``arrival.within``: a build of the weeks after waits for no other day.
    """

    folder: Path
    impressions: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    tasks: str = _FILES["tasks"]
    within: str = "P90D"

    @classmethod
    def random(cls, folder: Path, seed: int) -> "Logs":
        """Draw three requests of two items a day and the events of four users; a few arrive late."""
        dice = Random(seed)  # noqa: S311 - test data
        logs = cls(folder)
        logs.impressions = [logs.shown(dice, n // 2) for n in range(DAYS * 6)]
        logs.events = [logs.happened(dice) for _ in range(DAYS * 12)]
        return logs

    def shown(self, dice: Random, request: int) -> Row:
        moment = START + timedelta(hours=dice.randrange(24 * DAYS))
        return {
            "request_id": f"r{request}", "user_id": f"u{request % 4}", "item_id": dice.choice([1, 2, 3]),
            "shown_at": moment, "position": dice.choice([1, 2]), "visible": True, "kind": dice.choice("xy"),
        }  # fmt: skip

    def happened(self, dice: Random) -> Row:
        moment = START + timedelta(hours=dice.randrange(24 * DAYS))
        late = moment + timedelta(hours=dice.randrange(72)) if dice.random() < 0.2 else None
        return {
            "event": dice.choice(["click", "buy", "buy", "back", "stock_out"]), "happened_at": moment,
            "user_id": f"u{dice.randrange(4)}", "item_id": dice.choice([1, 2, 3]), "request_id": None,
            "kind": None, "value": round(dice.random(), 2), "ingested_at": late,
        }  # fmt: skip

    def write(self, home: str = "home") -> Workspace:
        """Write the contracts and, in two files a table, the log; return a workspace with a home of its own."""
        for name, text in {**_FILES, "tasks": self.tasks}.items():
            file = self.folder / "surfaces" / NAME / f"{name}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("$within", self.within), encoding="utf-8")
        workspace = Workspace.open(NAME, surfaces=self.folder / "surfaces", home=self.folder / home)
        for table, rows, schema in (
            ("impressions", self.impressions, worlds.IMPRESSION_TYPES),
            ("events", self.events, self._event_types()),
        ):
            folder = workspace.logs / NAME / table
            folder.mkdir(parents=True, exist_ok=True)
            for part in (0, 1):
                pq.write_table(pa.Table.from_pylist(rows[part::2], schema=schema), folder / f"{part}.parquet")
        return workspace

    def _event_types(self) -> pa.Schema:
        has_ids = any("event_id" in row for row in self.events)
        return worlds.EVENT_TYPES.append(pa.field("event_id", pa.string())) if has_ids else worlds.EVENT_TYPES


def event(name: str, when: datetime, **more: Any) -> Row:
    """Return one event of user u0 and item 1."""
    row: Row = {"event": name, "happened_at": when, "user_id": "u0", "item_id": 1}
    return {**row, "request_id": None, "kind": None, "value": None, "ingested_at": None, **more}
