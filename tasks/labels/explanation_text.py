"""An explanation in words: short sentences, times in UTC.

::

    click_30m: 1. Shown 10:00:00; the click at 10:12:30 lies in the window 10:00:00 to 10:30:00.
        Known since 11:00:00.
    return_30d: not applicable. It is learned where purchase_7d is positive, and purchase_7d is 0.

A time on the day of the impression is written without its day.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from math import isnan

from tasks.contracts import TaskSpec
from tasks.contracts.tasks import Positive
from tasks.labels.explanation import Event, Explanation, Label, TaskStory
from tasks.labels.status import Why

Clock = Callable[[datetime | None], str]
_NAMED = 3
"""Events that are named one by one."""


def told(explanation: Explanation, task: str, spec: TaskSpec) -> str:
    """Tell one task's label and why it is so, in one paragraph."""
    story = explanation.tasks[task]

    def clock(at: datetime | None) -> str:
        return "" if at is None else time_beside(at, explanation.impression.shown_at)

    sentences = [f"{said(story.label)}.", *_sentences(story, spec, clock, explanation)]
    return " ".join(sentences)


def time_beside(at: datetime, other: datetime) -> str:
    """Write a time, with its day where that is not the other's.

    Examples
    --------
    >>> shown = datetime(2026, 3, 2, 9)
    >>> time_beside(datetime(2026, 3, 2, 9, 30), shown), time_beside(datetime(2026, 3, 3), shown)
    ('09:30:00', '2026-03-03 00:00:00')
    """
    clock = at.time().isoformat("milliseconds" if at.microsecond else "seconds")
    return clock if at.date() == other.date() else f"{at.date()} {clock}"


def said(label: Label) -> str:
    """Say a label: its value where it is observed, else its status.

    Examples
    --------
    >>> said(Label(2.5, "observed", None)), said(Label(None, "not_applicable", None))
    ('2.5', 'not applicable')
    """
    return label.status.replace("_", " ") if label.value is None else _number(label.value)


def _sentences(story: TaskStory, spec: TaskSpec, clock: Clock, whole: Explanation) -> Iterator[str]:
    match story.why:
        case None:
            yield from _observed(story, spec, clock)
            yield f"Known since {clock(story.matures_at)}."
        case Why.MATURITY:
            yield f"It matures at {clock(story.matures_at)}, after the snapshot's as-of {clock(whole.as_of)}."
            if story.crediting:
                yield f"So far {_lies(story.crediting, story, spec, clock)}."
        case Why.EXCLUSION:
            yield from _excluded(story, spec, clock)
        case _:
            yield _not_applicable(story, spec, clock)


def _observed(story: TaskStory, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    if spec.compose:
        yield _parts(story)
        return
    begins = f"Shown {clock(story.opens)}"
    if spec.rule and spec.rule.after:
        begins = f"The window opens just after the event of {spec.rule.after}, {clock(story.opens)}"
    if spec.value:
        yield f"{begins}; in the window {_window(story, clock)} {_amount(story, spec)}."
    elif story.crediting:
        yield f"{begins}; {_lies(story.crediting, story, spec, clock)}."
        yield from _late(story.crediting, story, clock)
    else:
        yield f"{begins}; {_too_few(story, spec)} in the window {_window(story, clock)}."
        yield from _too_small(story, spec, clock)
    yield from _elsewhere(story, spec, clock)
    if story.observing and spec.positive and story.observing.name not in spec.positive.event:
        yield f"The {story.observing.name} at {clock(story.observing.at)} is its answer."
    if out := story.excluding:
        yield f"The {out.name} at {clock(out.at)} did not come before it and takes nothing out."


def _excluded(story: TaskStory, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    out, rule = story.excluding, spec.exclude[int(story.of)]
    if out is None:
        return
    matched = ", ".join(f"{name} {out.columns[name]}" for name in rule.on if name in out.columns)
    which = f"The {out.name} at {clock(out.at)}" + (f" ({matched})" if matched else "")
    takes = f"takes the row out{_whatever(rule.before_positive)}"
    yield f"{which} lies in the window {_window(story, clock)} and {takes}."
    if story.crediting:
        yield f"{_upper(_the(story.crediting, story, spec, clock))} would have made it 1."


def _whatever(before_positive: bool) -> str:
    return ", as nothing had made it positive before" if before_positive else ", whatever its outcome"


def _not_applicable(story: TaskStory, spec: TaskSpec, clock: Clock) -> str:
    window = f" in the window {_window(story, clock)}" if story.opens else ""
    match story.why:
        case Why.PART:
            return _parts(story)
        case Why.MATCH:
            return f"Its {story.of} is null, so no event can be matched with it."
        case Why.COLUMN:
            return f"It is observed where {story.of} is true, and here that is {_seen(story)}."
        case Why.ANSWER:
            names = _or((spec.observed_when and spec.observed_when.event) or ())
            return f"It is observed where there is an answer, and no {names} was credited to it{window}."
        case Why.PARENT if story.parent:
            parent, label = story.parent
            return f"It is learned where {parent} is positive, and {parent} is {said(label)}."
        case _:
            rule = spec.value
            names = _or(rule.event) if rule else ""
            return f"No {names} with a value was credited to it{window}, and there is no {story.of} of none."


def _amount(story: TaskStory, spec: TaskSpec) -> str:
    rule = spec.value
    if rule is None:
        return ""
    names, number, total = _or(rule.event), story.events.credited, story.amount or 0.0
    if not number:
        found = f"there is no {names}"
    elif rule.aggregate == "count":
        found = f"the count of {names} events is {number}"
    else:
        events = "event" if number == 1 else "events"
        found = f"the {rule.aggregate} of {number} {names} {events} is {_number(total)}"
    clipped = story.label.value if rule.clip else total
    return found if clipped == total or clipped is None else f"{found}, clipped to {_number(clipped)}"


def _lies(event: Event, story: TaskStory, spec: TaskSpec, clock: Clock) -> str:
    return f"{_the(event, story, spec, clock)} lies in the window {_window(story, clock)}"


def _the(event: Event, story: TaskStory, spec: TaskSpec, clock: Clock) -> str:
    rule = spec.positive
    nth = f"{_ordinal(rule.at_least)} " if rule and rule.at_least > 1 else ""
    value = f" of value {_number(event.value)}" if _has_bound(spec) and event.value is not None else ""
    return f"the {nth}{event.name}{value} at {clock(event.at)}"


def _too_few(story: TaskStory, spec: TaskSpec) -> str:
    rule = spec.positive
    names = _or(rule.event) if rule else ""
    if rule and rule.at_least > 1 and story.events.credited:
        return f"only {story.events.credited} {names} of the {rule.at_least} needed"
    if _small(story, rule):
        return f"no {names} that counts"
    return f"no {names}" + (" of its own" if story.elsewhere else "")


def _small(story: TaskStory, rule: Positive | None) -> list[Event]:
    return [e for e in story.events.some if rule and not e.counts and e.name in rule.event]


def _too_small(story: TaskStory, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    rule = spec.positive
    least = _number((rule.value_at_least if rule else None) or 0.0)
    for event in _small(story, rule)[:_NAMED]:
        has = "no value" if event.value is None or isnan(event.value) else f"the value {_number(event.value)}"
        yield f"The {event.name} at {clock(event.at)} has {has}; the least that counts is {least}."


def _elsewhere(story: TaskStory, spec: TaskSpec, clock: Clock) -> Iterator[str]:
    rule = spec.rule
    which = "last" if rule and rule.credit == "last_touch" else "first"
    for event in story.elsewhere[:_NAMED]:
        to = event.credited_to
        if to:
            winner = f"{to.request_id}/{to.item_id}, shown {clock(to.shown_at)}"
            yield (
                f"The {event.name} at {clock(event.at)} lies in it and is credited to {winner}: "
                f"the {which} whose window holds it."
            )
    if len(story.elsewhere) > _NAMED:
        yield "More events are credited elsewhere."


def _late(event: Event, story: TaskStory, clock: Clock) -> Iterator[str]:
    if event.arrived and event.arrived > story.matures_at:
        yield f"It arrived at {clock(event.arrived)}: a snapshot as of before then says otherwise."


def _parts(story: TaskStory) -> str:
    return "; ".join(_part(part, *known) for part, known in story.parts.items()) + "."


def _part(part: str, known: float | None, label: Label) -> str:
    if known is None:
        return f"{part} is {said(label)} and not known"
    if label.value is None:
        return f"{part} counts as {_number(known)}, since its parent is 0"
    return f"{part} is {said(label)}"


def _window(story: TaskStory, clock: Clock) -> str:
    return f"{clock(story.opens)} to {clock(story.closes)}"


def _has_bound(spec: TaskSpec) -> bool:
    return spec.positive is not None and spec.positive.value_at_least is not None


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"


def _seen(story: TaskStory) -> str:
    return "null" if story.seen is None else str(story.seen).lower()


def _ordinal(number: int) -> str:
    """Write 2nd, 3rd, 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in {11, 12, 13} else "th"
    return f"{number}{ending}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
