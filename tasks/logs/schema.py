"""The columns of a log under our names, and those of them that labels are made from."""

from dataclasses import dataclass

from tasks import columns as c
from tasks.contracts import SurfaceSpec, TasksSpec

IDS = (c.REQUEST_ID, c.USER_ID, c.ITEM_ID)


@dataclass(frozen=True)
class Log:
    """The columns that the log has, under our names, in the tables' order."""

    impressions: tuple[str, ...]
    events: tuple[str, ...]

    @property
    def has_arrival(self) -> bool:
        """Whether the events say when they arrived."""
        return c.INGESTED_AT in self.events

    @property
    def has_event_ids(self) -> bool:
        """Whether events of one id count once."""
        return c.EVENT_ID in self.events


def contract_log(surface: SurfaceSpec, tasks: TasksSpec) -> Log:
    """Return the columns that the contracts name: the log as far as it is known without reading it."""
    observing = [t.observed_when.column for t in tasks.tasks.values() if t.observed_when]
    match = match_columns(tasks)
    segments = [s.column for s in surface.segments]
    impressions = (
        c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT, c.POSITION,
        *surface.features.names, *segments, *surface.values, *(name for name in observing if name), *match,
        *tasks.deadlines,
    )  # fmt: skip
    events = (c.EVENT, c.HAPPENED_AT, c.USER_ID, c.ITEM_ID, c.VALUE, c.INGESTED_AT, *match)
    events = (*events, *([c.EVENT_ID] if c.EVENT_ID in surface.columns else []))
    return Log(tuple(dict.fromkeys(impressions)), tuple(dict.fromkeys(events)))


def match_columns(tasks: TasksSpec) -> tuple[str, ...]:
    """Return the columns on which the contract matches events with impressions."""
    rules = [t.rule.match for t in tasks.tasks.values() if t.rule]
    exclusions = [exclusion.on for t in tasks.tasks.values() for exclusion in t.exclude]
    return tuple(dict.fromkeys(name for names in (*rules, *exclusions) for name in names))


def event_columns(tasks: TasksSpec, log: Log) -> tuple[str, ...]:
    """Return the columns of the events that labels are made from."""
    wanted = {c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT, c.EVENT_ID, *match_columns(tasks)}
    return tuple(name for name in log.events if name in wanted)
