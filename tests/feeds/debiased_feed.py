"""The small feed with a page: five places dealt at random, looked at less and less, and heads corrected for it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.stores.workspace import Workspace
from tests.feeds.small_feed import CANDIDATES, NAME, SURFACE, TASKS, labelled, write_contracts, write_logs

LOOKS = np.array([1.0, 0.8, 0.6, 0.45, 0.3])
TRAINING = """
examination: estimated
training:
  click_1d: {position: feature}
  buy_2d: {position: weight}
  back_2d: {space: entire, position: weight}
  spend_2d: {position: feature}
  kept_1d: {weights: {response: {clip: 10}}}
"""
ASKED = """
  kept_1d: {family: satisfaction, positive: {event: buy, within: P1D}, observed_when: {event: click}}
"""


def debiased_feed(folder: Path, *, surface: str = SURFACE + TRAINING) -> tuple[Workspace, str]:
    """Write, label and publish the feed below a folder."""
    write_contracts(folder / "surfaces", surface=surface, tasks=TASKS + ASKED)
    logs = folder / "home/logs"
    write_logs(logs, requests_a_day=150)
    lay_out(logs / NAME)
    return labelled(folder)


def true_clicks(frame: pd.DataFrame) -> np.ndarray:
    """Return the probability of a click where the item is looked at."""
    return 1 / (1 + np.exp(3 - 3 * frame["price"] - (frame["category"] == "b")))


def lay_out(logs: Path) -> None:
    """Give every item of a request its place, and take out what came of items that nobody looked at."""
    random = np.random.default_rng(5)
    impressions = pq.read_table(logs / "impressions/a.parquet")
    requests = len(impressions) // CANDIDATES
    places = np.argsort(random.random((requests, CANDIDATES)), axis=1)
    impressions = impressions.append_column("position", pa.array(places.ravel() + 1, pa.int16()))
    left = 1 / (CANDIDATES - places.ravel())
    impressions = impressions.append_column("propensity", pa.array(left))
    looked = random.random(len(impressions)) < LOOKS[places.ravel()]
    seen = set(np.array(impressions.column("item_id").to_pylist())[looked])
    events = pq.read_table(logs / "events/a.parquet")
    kept = [item in seen for item in events.column("item_id").to_pylist()]
    pq.write_table(impressions, logs / "impressions/a.parquet")
    pq.write_table(events.filter(pa.array(kept)), logs / "events/a.parquet")
