"""The labels of the feed's three tasks by pandas: merges on the match columns, then least by impression.

Plain merges are of the frames as they are; narrow ones leave out every column that the merge does not need.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.feed.log import AS_OF, Feed

_KEY = ["request_id", "item_id"]
_WEEK = pd.Timedelta(days=7)


def label(feed: Feed, out: Path, *, narrow: bool) -> None:
    """Write the labels by day as plain Parquet."""
    impressions = pd.concat(map(pd.read_parquet, sorted(Path(feed.files("impressions")).parent.iterdir())))
    events = pd.concat(map(pd.read_parquet, sorted(Path(feed.files("events")).parent.iterdir())))
    shown = impressions[impressions["shown_at"] < AS_OF].dropna(subset=_KEY)
    shown = shown.sort_values(["shown_at", "position"]).drop_duplicates(_KEY)
    arrived = events["ingested_at"].isna() | (events["ingested_at"] < AS_OF)
    known = events[(events["happened_at"] < AS_OF) & arrived]
    windows = shown[["request_id", "user_id", "item_id", "shown_at", "position"]] if narrow else shown

    def pairs(event: str, on: list[str], within: pd.Timedelta) -> pd.DataFrame:
        signals = known[known["event"] == event]
        return _pairs(windows, signals[[*on, "happened_at"]] if narrow else signals, on, within)

    clicks = pairs("click", ["user_id", "item_id"], pd.Timedelta(minutes=30))
    hides = pairs("hide", ["user_id", "item_id"], _WEEK)
    purchases = pairs("purchase", ["user_id", "item_id"], _WEEK)
    latest = purchases.sort_values(["shown_at", "position", *_KEY])
    latest = latest.drop_duplicates(["user_id", "item_id", "happened_at"], keep="last")
    outs = [pairs("out_of_stock", ["item_id"], _WEEK), pairs("ineligible", ["user_id"], _WEEK)]
    excluded = pd.concat(out[_KEY] for out in outs).drop_duplicates().assign(excluded=True)

    labels = shown.merge(_first(clicks, "click_at"), on=_KEY, how="left")
    labels = labels.merge(_first(latest, "purchase_at"), on=_KEY, how="left")
    labels = labels.merge(_first(hides, "hide_at"), on=_KEY, how="left")
    labels = labels.merge(excluded, on=_KEY, how="left")
    late = labels["shown_at"] > AS_OF - pd.Timedelta(days=8)
    soon = labels["shown_at"] > AS_OF - pd.Timedelta(hours=1)
    out_of_it = labels.pop("excluded").notna()
    _add(
        labels,
        "click_30m",
        labels.pop("click_at"),
        [(soon, "immature"), (~labels["visible"], "not_applicable")],
    )
    _add(labels, "purchase_7d", labels.pop("purchase_at"), [(late, "immature"), (out_of_it, "excluded")])
    _add(labels, "hide_7d", labels.pop("hide_at"), [(late, "immature")])
    labels["ds"] = labels["shown_at"].dt.strftime("%Y-%m-%d")
    labels.to_parquet(out, partition_cols=["ds"])


def _pairs(windows: pd.DataFrame, signals: pd.DataFrame, on: list[str], within: pd.Timedelta) -> pd.DataFrame:
    pairs = windows.merge(signals, on=on, suffixes=("", "_of_event"))
    inside = (pairs["shown_at"] <= pairs["happened_at"]) & (pairs["happened_at"] < pairs["shown_at"] + within)
    return pairs[inside]


def _first(pairs: pd.DataFrame, name: str) -> pd.DataFrame:
    return pairs.groupby(_KEY, as_index=False).agg(**{name: ("happened_at", "min")})


def _add(labels: pd.DataFrame, task: str, at: pd.Series, words: list[tuple[pd.Series, str]]) -> None:
    status = np.select([when for when, _ in words], [word for _, word in words], "observed")
    observed = status == "observed"
    labels[task] = at.notna().astype("Int8").where(observed)
    labels[f"{task}__status"] = status
    labels[f"{task}__at"] = at.where(observed)
