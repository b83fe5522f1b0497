"""Formats an explanation as short sentences, times in UTC.

::

    click_30m: 1. Shown 10:00:00; the click at 10:12:30 lies in the window 10:00:00 to 10:30:00.
        Known since 11:00:00.
    return_30d: not applicable. It is learned where purchase_7d is positive, and purchase_7d is 0.

Times on the day of the impression are written without a date.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from math import isnan

from tasks.contracts import TaskSpec
from tasks.contracts.durations import describe_duration
from tasks.contracts.tasks import Positive
from tasks.labels.explanation import Event, LabelValue, TaskExplanation
from tasks.labels.status import Why

Clock = Callable[[datetime | None], str]
_NAMED = 3
"""Number of events that are listed individually; further events are summarised."""


def describe_task(
    explained: TaskExplanation, spec: TaskSpec, *, shown_at: datetime, as_of: datetime, arrived: datetime
) -> str:
    """Return one task's label and the reasons for it, in one paragraph."""

    def clock(at: datetime | None) -> str:
        return "" if at is None else time_beside(at, shown_at)

    horizon = f"the snapshot's as-of {clock(as_of)}"
    if arrived < as_of:
        horizon = f"{clock(arrived)}, up to which the log had arrived by the as-of {clock(as_of)}"
    sentences = [f"{describe_label(explained.label)}.", *_sentences(explained, spec, clock, horizon)]
    sentences += [] if spec.train else ["Measured, never trained."]
    return " ".join(sentences)


def time_beside(at: datetime, other: datetime) -> str:
    """Return a time of day, with its date if it differs from the other's.

    Examples
    --------
    >>> shown = datetime(2026, 3, 2, 9)
    >>> time_beside(datetime(2026, 3, 2, 9, 30), shown), time_beside(datetime(2026, 3, 3), shown)
    ('09:30:00', '2026-03-03 00:00:00')
    """
    clock = at.time().isoformat("milliseconds" if at.microsecond else "seconds")
    return clock if at.date() == other.date() else f"{at.date()} {clock}"


def describe_label(label: LabelValue) -> str:
    """Return a label in words: its value if observed, else its status.

    Examples
    --------
    >>> describe_label(LabelValue(2.5, "observed", None))
    '2.5'
    >>> describe_label(LabelValue(None, "not_applicable", None))
    'not applicable'
    """
    return label.status.replace("_", " ") if label.value is None else _number(label.value)


def _sentences(explained: TaskExplanation, spec: TaskSpec, clock: Clock, horizon: str) -> Iterator[str]:
    match explained.why:
        case None:
            yield from _observed(explained, spec, clock)
            yield f"Known since {clock(explained.matures_at)}."
        case Why.MATURITY:
            yield f"It matures at {clock(explained.matures_at)}, after {horizon}."
            if explained.crediting:
                yield f"So far {_event_in_window(explained.crediting, explained, spec, clock)}."
        case Why.EXCLUSION:
            yield from _excluded(explained, spec, clock)
        case Why.DEADLINE:
            yield f"Its window ends at {explained.of}, {_misdated(explained, spec, clock)}."
        case _:
            yield _not_applicable(explained, spec, clock)


def _observed(explained: TaskExplanation, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    if spec.compose:
        yield _parts(explained)
        return
    begins = f"Shown {clock(explained.opens)}"
    if spec.rule and spec.rule.after:
        begins = f"The window opens just after the event of {spec.rule.after}, {clock(explained.opens)}"
    if spec.value:
        yield f"{begins}; in the window {_window(explained, clock)} {_amount(explained, spec)}."
    elif explained.crediting:
        yield f"{begins}; {_event_in_window(explained.crediting, explained, spec, clock)}."
        yield from _late(explained.crediting, explained, clock)
    else:
        yield f"{begins}; {_too_few(explained, spec)} in the window {_window(explained, clock)}."
        yield from _too_small(explained, spec, clock)
    yield from _elsewhere(explained, spec, clock)
    if explained.observing and spec.positive and explained.observing.name not in spec.positive.event:
        yield f"The {explained.observing.name} at {clock(explained.observing.at)} is its answer."
    if out := explained.excluding:
        yield f"The {out.name} at {clock(out.at)} did not come before it and takes nothing out."


def _excluded(explained: TaskExplanation, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    out, rule = explained.excluding, spec.exclude[int(explained.of)]
    if out is None:
        return
    matched = ", ".join(f"{name} {out.columns[name]}" for name in rule.on if name in out.columns)
    which = f"The {out.name} at {clock(out.at)}" + (f" ({matched})" if matched else "")
    why = "as nothing had made it positive before" if rule.before_positive else "whatever its outcome"
    yield f"{which} lies in the window {_window(explained, clock)} and takes the row out, {why}."
    if explained.crediting:
        event = _name_event(explained.crediting, spec, clock)
        yield f"{event[:1].upper()}{event[1:]} would have made it 1."


def _not_applicable(explained: TaskExplanation, spec: TaskSpec, clock: Clock) -> str:
    window = f" in the window {_window(explained, clock)}" if explained.opens else ""
    match explained.why:
        case Why.PART:
            return _parts(explained)
        case Why.MATCH:
            return f"Its {explained.of} is null, so no event can be matched with it."
        case Why.COLUMN:
            seen = "null" if explained.seen is None else str(explained.seen).lower()
            return f"It is observed where {explained.of} is true, and here that is {seen}."
        case Why.ANSWER:
            names = _or((spec.observed_when and spec.observed_when.event) or ())
            return f"It is observed where there is an answer, and no {names} was credited to it{window}."
        case Why.PARENT if explained.parent:
            parent, label = explained.parent
            return f"It is learned where {parent} is positive, and {parent} is {describe_label(label)}."
        case _:
            rule = spec.value
            names = _or(rule.event) if rule else ""
            return (
                f"No {names} with a value was credited to it{window}, and there is no {explained.of} of none."
            )


def _misdated(explained: TaskExplanation, spec: TaskSpec, clock: Clock) -> str:
    if explained.deadline is None:
        return "which is null"
    longest = describe_duration(spec.rule.within) if spec.rule else ""
    return f"{clock(explained.deadline)}, which does not lie after its opening and at most {longest} later"


def _amount(explained: TaskExplanation, spec: TaskSpec) -> str:
    rule = spec.value
    if rule is None:
        return ""
    names, number, total = _or(rule.event), explained.events.credited, explained.amount or 0.0
    if not number:
        text = f"there is no {names}"
    elif rule.aggregate == "count":
        text = f"the count of {names} events is {number}"
    else:
        events = "event" if number == 1 else "events"
        text = f"the {rule.aggregate} of {number} {names} {events} is {_number(total)}"
    clipped = explained.label.value if rule.clip else total
    return text if clipped == total or clipped is None else f"{text}, clipped to {_number(clipped)}"


def _event_in_window(event: Event, explained: TaskExplanation, spec: TaskSpec, clock: Clock) -> str:
    return f"{_name_event(event, spec, clock)} lies in the window {_window(explained, clock)}"


def _name_event(event: Event, spec: TaskSpec, clock: Clock) -> str:
    rule = spec.positive
    nth = f"{_ordinal(rule.at_least)} " if rule and rule.at_least > 1 else ""
    bounded = rule is not None and rule.bounds_values
    value = f" of value {_number(event.value)}" if bounded and event.value is not None else ""
    return f"the {nth}{event.name}{value} at {clock(event.at)}"


def _too_few(explained: TaskExplanation, spec: TaskSpec) -> str:
    rule = spec.positive
    names = _or(rule.event) if rule else ""
    if rule and rule.at_least > 1 and explained.events.credited:
        return f"only {explained.events.credited} {names} of the {rule.at_least} needed"
    if _small(explained, rule):
        return f"no {names} that counts"
    return f"no {names}" + (" of its own" if explained.elsewhere else "")


def _small(explained: TaskExplanation, rule: Positive | None) -> list[Event]:
    return [e for e in explained.events.some if rule and not e.counts and e.name in rule.event]


def _too_small(explained: TaskExplanation, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    rule = spec.positive
    bounds = _bounds(rule) if rule else ""
    for event in _small(explained, rule)[:_NAMED]:
        has = "no value" if event.value is None or isnan(event.value) else f"the value {_number(event.value)}"
        yield f"The {event.name} at {clock(event.at)} has {has}; {bounds}."


def _bounds(rule: Positive) -> str:
    least, below = rule.value_at_least, rule.value_below
    if below is None:
        return f"the least that counts is {_number(least or 0.0)}"
    above = "" if least is None else f" of {_number(least)} or more"
    return f"only a value{above} below {_number(below)} counts"


def _elsewhere(explained: TaskExplanation, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    rule = spec.rule
    which = "last" if rule and rule.credit == "last_touch" else "first"
    for event in explained.elsewhere[:_NAMED]:
        to = event.credited_to
        if to:
            winner = f"{to.request_id}/{to.item_id}, shown {clock(to.shown_at)}"
            yield (
                f"The {event.name} at {clock(event.at)} lies in it and is credited to {winner}: "
                f"the {which} whose window holds it."
            )
    if len(explained.elsewhere) > _NAMED:
        yield "More events are credited elsewhere."


def _late(event: Event, explained: TaskExplanation, clock: Clock) -> Iterator[str]:
    if event.arrived and event.arrived > explained.matures_at:
        yield f"It arrived at {clock(event.arrived)}: a snapshot as of an earlier instant differs."


def _parts(explained: TaskExplanation) -> str:
    return "; ".join(_part(part, *known) for part, known in explained.parts.items()) + "."


def _part(part: str, known: float | None, label: LabelValue) -> str:
    if known is None:
        return f"{part} is {describe_label(label)} and not known"
    if label.value is None:
        return f"{part} counts as {_number(known)}, since its parent is 0"
    return f"{part} is {describe_label(label)}"


def _window(explained: TaskExplanation, clock: Clock) -> str:
    return f"{clock(explained.opens)} to {clock(explained.closes)}"


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"


def _ordinal(number: int) -> str:
    """Return 2nd, 3rd, 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in {11, 12, 13} else "th"
    return f"{number}{ending}"
