"""A log of what two releases served, with the outcomes in hand: figures are computed from `ServedLog.rows`.

Release 1 serves the first 70 days, then release 2. Clicks come after five minutes, hides within 47 hours.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.monitoring.series import SeriesTable
from tasks.stores.workspace import Workspace
from tests.feeds import daily_log
from tests.stores.mlflow_home import new_home

NAME, FIRST = daily_log.NAME, daily_log.FIRST
CHANGE_OF_RELEASE = 70
FILES = {
    "surface": daily_log.SURFACE.partition("base_rates")[0],
    "tasks": """
contract: shop-labels
version: 1
tasks:
  click_1h: {family: engagement, positive: {event: click, within: PT1H}}
  hide_2d: {family: negative, positive: {event: hide, within: P2D}}
""",
    "utility": """
policy: shop-utility
version: 1
owner: tests
approvals: [product]
weights: {click_1h: 1.0, hide_2d: -5.0}
guardrails: [{metric: hide_2d_rate, relative_increase_max: 0.05, action: block}]
""",
    "slate": "{policy: shop-slate, version: 1, length: 2}\n",
}


def day_after(days: float) -> datetime:
    return FIRST + timedelta(days=days)


def run_monitor(workspace: Workspace, days: float) -> monitor.MonitorResult:
    """Label and monitor a surface as of some days after the first."""
    labels.run(workspace, as_of=day_after(days))
    return monitor.run(workspace, as_of=day_after(days))


@dataclass
class ServedLog:
    """Impressions with their outcomes ``click`` and ``hide``, and the folder of home and contracts."""

    folder: Path
    rows: pd.DataFrame

    @classmethod
    def of(cls, folder: Path, *, days: int, requests: int = 40, drift_from: int | None = None) -> "ServedLog":
        """Draw a log; from a day on clicks are half again as frequent as predicted."""
        rng, each = np.random.default_rng(4), 3
        n = days * requests * each
        request = np.repeat(np.arange(days * requests), each)
        day = request // requests
        price, kind = rng.random(n), np.array(["a", "b"])[rng.integers(0, 2, n)]
        click, hide = 0.2 + 0.3 * price, 0.05 + 0.1 * (kind == "b")
        truth = click * np.where((drift_from is not None) & (day >= (drift_from or 0)), 1.5, 1.0)
        minutes = (request % requests) * (1380 // requests)
        rows = pd.DataFrame(
            {
                "request_id": [f"r{one}" for one in request],
                "user_id": [f"u{one}" for one in np.repeat(rng.integers(0, 50, days * requests), each)],
                "item_id": [f"i{one}" for one in np.arange(n)],
                "shown_at": pd.Timestamp(FIRST) + pd.to_timedelta(day * 1440 + minutes, unit="min"),
                "price": price,
                "kind": kind,
                "release": np.where(day < CHANGE_OF_RELEASE, 1, 2),
                "served_p_click_1h": click,
                "served_p_hide_2d": hide,
                "click": (rng.random(n) < truth).astype(float),
                "hide": (rng.random(n) < hide).astype(float),
                "hidden_after": pd.to_timedelta(rng.integers(60, 47 * 60, n), unit="min"),
            }
        )
        return cls(folder, rows)

    def write(self, *, without: tuple[str, ...] = (), home: Path | None = None, **files: str) -> Workspace:
        """Write logs and contracts, some of them changed, and leave columns out of the log."""
        home = home or new_home(self.folder / "home")
        for name, text in {**FILES, **files}.items():
            (self.folder / "surfaces" / NAME).mkdir(parents=True, exist_ok=True)
            (self.folder / "surfaces" / NAME / f"{name}.yaml").write_text(text, encoding="utf-8")
        events = []
        for event in ("click", "hide"):
            found = self.rows[self.rows[event] > 0]
            after = timedelta(minutes=5) if event == "click" else found["hidden_after"]
            keys = found[["request_id", "user_id", "item_id"]]
            events.append(keys.assign(event=event, happened_at=found["shown_at"] + after))
        tables = {
            "impressions": self.rows.drop(columns=["click", "hide", "hidden_after", *without]),
            "events": pd.concat(events),
        }
        for table, frame in tables.items():
            place = home / "logs" / NAME / table
            place.mkdir(parents=True)
            instants = {name: "datetime64[us, UTC]" for name in ("shown_at", "happened_at") if name in frame}
            frame.astype(instants).to_parquet(place / "a.parquet", index=False)
        return Workspace.open(NAME, surfaces=self.folder / "surfaces", home=home)


def series(workspace: Workspace) -> pd.DataFrame:
    """Return the rows of the table of series."""
    return SeriesTable(workspace.store, workspace.surface, workspace.contracts.digests["tasks"]).read()


def sorted_series(workspace: Workspace) -> pd.DataFrame:
    """Return the rows of the table in an order that does not depend on commits, without their instants."""
    rows = series(workspace).drop(columns="computed_at")
    return rows.sort_values([*rows.columns], ignore_index=True)
