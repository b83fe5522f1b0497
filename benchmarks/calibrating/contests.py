"""What ours makes of one isotonic regression and of MCGrad: ratios of a data set, and over all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

LEAST_SPEEDUP: Final = 10.0
MOST_OVER_ISOTONIC: Final = 1.001


@dataclass(frozen=True)
class Contest:
    """Ours on one data set; None what was not run.

    Attributes
    ----------
    over_isotonic : normalized entropy over that of one isotonic regression.
    entropy, error : normalized entropy and multicalibration error over MCGrad's.
    processor, wall : MCGrad's seconds for a fit over ours.
    """

    name: str
    over_isotonic: float | None
    entropy: float | None
    error: float | None
    processor: float | None
    wall: float | None

    def lines(self) -> Iterator[str]:
        """Say who won."""
        if self.over_isotonic is not None:
            yield f"ours / one isotonic: entropy {self.over_isotonic:.4f} (at most {MOST_OVER_ISOTONIC})"
        if self.entropy is not None and self.error is not None:
            yield (
                f"ours / MCGrad: entropy {self.entropy:.4f} ({_verdict(self.entropy)}), multicalibration "
                f"error {self.error:.2f} ({_verdict(self.error)}), fit {self.processor:.0f} times faster "
                f"by the processor, {self.wall:.0f} by the wall"
            )


def summary(contests: Sequence[Contest]) -> Iterator[str]:
    """Say for each data set how its seeds came out, and what is asked of all."""
    yield f"{'over all seeds':<22}{'won':>6}{'tied':>6}{'lost':>6}{'mean ratio':>12}{'from':>9}{'to':>9}"
    for name in dict.fromkeys(contest.name for contest in contests):
        own = [contest for contest in contests if contest.name == name]
        yield name
        yield from _row("entropy / isotonic", [contest.over_isotonic for contest in own])
        yield from _row("entropy / MCGrad", [contest.entropy for contest in own])
        yield from _row("error / MCGrad", [contest.error for contest in own])
    yield from _asked(contests)


def _row(what: str, ratios: Sequence[float | None]) -> Iterator[str]:
    known = np.array([ratio for ratio in ratios if ratio is not None])
    if known.size:
        counts = "".join(f"{int(n):>6}" for n in ((known < 1).sum(), (known == 1).sum(), (known > 1).sum()))
        figures = f"{known.mean():>12.4f}{known.min():>9.4f}{known.max():>9.4f}"
        yield f"  {what:<20}{counts}{figures}"


def _asked(contests: Sequence[Contest]) -> Iterator[str]:
    """Hold all against what is asked of them; a data set counts by the mean of its seeds."""
    over = [contest.over_isotonic for contest in contests if contest.over_isotonic is not None]
    if over:
        yield f"entropy at most {max(over):.4f} of one isotonic's (asked: {MOST_OVER_ISOTONIC})"
    names = dict.fromkeys(contest.name for contest in contests if contest.entropy is not None)
    if names:
        both = [name for name in names if _wins(contests, name)]
        fast = min(contest.processor for contest in contests if contest.processor is not None)
        yield (
            f"at or below MCGrad's in both figures on {len(both)} of {len(names)} data sets (asked: 3 of 4); "
            f"fit {fast:.0f} times faster at least, by the processor (asked: {LEAST_SPEEDUP:.0f})"
        )


def _wins(contests: Sequence[Contest], name: str) -> bool:
    """Whether both mean ratios of a data set are at most 1."""
    own = [(c.entropy, c.error) for c in contests if c.name == name and c.entropy is not None]
    return bool((np.array(own, dtype=np.float64).mean(axis=0) <= 1).all())


def _verdict(ratio: float) -> str:
    return "tied" if ratio == 1 else "won" if ratio < 1 else "lost"
