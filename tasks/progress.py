"""Progress of a long command: its parts report the share that is done, and a listener shows it.

::

    with part("simulate", done=10, of=13):      the eleventh of thirteen parts begins
        report("measure", done=1, of=2)         10.5 of 13 are done
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

Listener = Callable[[tuple[str, ...], float], None]
"""Takes the names of the part that begins and of the parts around it, outermost first, and the share done."""


@dataclass(frozen=True)
class _Span:
    """The part of the whole that is being worked on: where it begins and how wide it is, as shares."""

    words: tuple[str, ...] = ()
    begin: float = 0.0
    width: float = 1.0

    def at(self, words: tuple[str, ...], done: float, of: float) -> "_Span":
        """Return one of ``of`` equal parts of this one."""
        share = min(max(done / of, 0.0), 1.0) if of else 0.0
        return _Span(
            (*self.words, *words), self.begin + self.width * share, self.width / of if of else self.width
        )


_SPAN: Final = ContextVar[_Span | None]("span", default=None)
_LISTENER: Final = ContextVar[Listener | None]("listener", default=None)


def _now() -> _Span:
    return _SPAN.get() or _Span()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let a listener hear every report inside the body."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report(*words: str, done: float, of: float) -> None:
    """Report what begins now, and that ``done`` of ``of`` parts of the part around it are done.

    Examples
    --------
    >>> with listening(lambda words, share: print(*words, f"{share:.0%}")):
    ...     report("plan", done=0, of=2)
    ...     with part("train", done=1, of=2):
    ...         report("click", done=1, of=2)
    plan 0%
    train 50%
    train click 75%
    """
    listener = _LISTENER.get()
    if listener is not None:
        now = _now().at(words, done, of)
        listener(now.words, now.begin)


@contextmanager
def part(*words: str, done: float, of: float) -> Iterator[None]:
    """Report that a part begins; reports inside the body divide it."""
    report(*words, done=done, of=of)
    token = _SPAN.set(_now().at(words, done, of))
    try:
        yield
    finally:
        _SPAN.reset(token)
