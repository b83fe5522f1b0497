"""Small surfaces in memory and the days of their slices, for tests of training."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from tasks.contracts import Contracts, SlateSpec, SurfaceSpec, TasksSpec, UtilitySpec
from tasks.training.slices import DaySlice

FIRST = date(2026, 1, 5)  # a Monday
DAY = timedelta(days=1)


def day(number: int) -> date:
    return FIRST + number * DAY


def instant(number: float) -> datetime:
    return datetime(2026, 1, 5, tzinfo=UTC) + number * DAY


def between(first: int, last: int) -> DaySlice:
    return DaySlice(day(first), day(last))


def binary(event: str, within: str, maturity: str | None = None, **more: Any) -> dict[str, Any]:
    positive = {"event": event, "within": within, **({"after": more.pop("after")} if "after" in more else {})}
    known = {"maturity": maturity} if maturity else {}
    return {"family": "engagement", "positive": positive, **known, **more}


def surface(tasks: dict[str, dict[str, Any]], **more: Any) -> Contracts:
    """Contracts with 7 calibrate, 7 test and up to 28 train days, where nothing else is said."""
    fields: dict[str, Any] = {
        "surface": "feed",
        "version": 1,
        "owner": "tests",
        "sources": {"impressions": "feed/impressions/*.parquet", "events": "feed/events/*.parquet"},
        "features": {"numeric": ["price"], "categorical": ["category"]},
        "split": {"train": "P28D", "calibrate": "P7D", "test": "P7D"},
    }
    policy = {"policy": "feed", "version": 1}
    weights = {"owner": "tests", "approvals": ["product"], "weights": {next(iter(tasks)): 1.0}}
    return Contracts(
        surface=SurfaceSpec.model_validate({**fields, **more}),
        tasks=TasksSpec.model_validate({"contract": "feed-labels", "version": 1, "tasks": tasks}),
        utility=UtilitySpec.model_validate({**policy, **weights}),
        slate=SlateSpec.model_validate({**policy, "length": 3}),
        digests={kind: kind for kind in ("surface", "tasks", "utility", "slate")},
    )


def shop(**more: Any) -> Contracts:
    """Return a surface with a click, a purchase and its slow return."""
    tasks = {
        "click_30m": binary("click", "PT30M", "PT1H"),
        "purchase_7d": binary("purchase", "P7D", "P8D"),
        "return_30d": binary("return", "P30D", "P37D", after="purchase_7d", cadence="slow"),
    }
    return surface(tasks, **more)
