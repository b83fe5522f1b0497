"""Eight weeks of retrain, gate, ramp and monitor on own logs: ``python -m benchmarks.eight_weeks``.

Seasons of simulated worlds (``benchmarks/operated``) in three settings: with one explored slot, without, and
with the ramp alone, which every release enters. Printed are how releases end by kind, what harmful ones truly
cost, and the alarms before and after a drift. A season is kept in ``--folder``: a run that was ended goes on.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import TypeAdapter

from benchmarks.operated.releases import KINDS
from benchmarks.operated.season import Ended, Operation, Season, Setting

SETTINGS: Final = {
    "gate": Setting(1000),
    "gate, no exploration": Setting(1000, explores=False),
    "ramp alone": Setting(2000, gated=False, watched=False),
}
ENDS: Final = ("gate", "stage 1", "stage 2", "stage 3", "stage 4", "champion", "unfinished")
_SEASON: Final = TypeAdapter(Season)


def read_or_play(seed: int, setting: str, asked: argparse.Namespace) -> Season:
    """Read a season, or play it first."""
    of = SETTINGS[setting]
    of = replace(of, requests_per_day=asked.requests_per_day or of.requests_per_day)
    file = asked.folder / setting.replace(", ", "_").replace(" ", "_") / f"{of.requests_per_day}-{seed}.json"
    if not file.exists():
        with tempfile.TemporaryDirectory() as folder:
            season = Operation(seed, of, Path(folder)).play()
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_bytes(_SEASON.dump_json(season, indent=1))
        unfinished.rename(file)
    return _SEASON.validate_json(file.read_bytes())


def releases(setting: str, seasons: Sequence[Season]) -> Iterator[str]:
    """Yield how the releases of a setting ended, a row for each kind."""
    ended = [one for season in seasons for one in season.releases]
    for kind in dict.fromkeys(KINDS):
        of = [one for one in ended if one.kind == kind]
        if of:
            yield f"| {setting} | {kind} | {len(of)} | {_ends(of)} | {_costs(of)} |"


def _ends(of: Sequence[Ended]) -> str:
    counted = Counter(one.end for one in of)
    return ", ".join(f"{end} {counted[end]}" for end in ENDS if counted[end])


def _costs(of: Sequence[Ended]) -> str:
    """Return days of the ramp, questions, and what people truly lost, of the releases that served."""
    served = [one for one in of if one.end != "gate"]
    if not served:
        return " | | | "
    means = [np.mean([getattr(one, name) for one in served]) for name in ("days", "asked", "lost", "hides")]
    return f"{means[0]:.0f} | {means[1]:.1f} | {means[2]:+.1%} | {means[3]:+.1%}"


def alarms(seasons: Sequence[Season]) -> Iterator[str]:
    """Yield the alarms by drift: those before it, and those after it with the days until the first."""
    for drift in dict.fromkeys(season.drift for season in seasons):
        of = [season for season in seasons if season.drift == drift]
        before, after, first = 0, 0, list[str]()
        for season in of:
            days = sorted(day for _, day in season.alarms)
            since = [day for day in days if drift and day >= 0]
            before, after = before + len(days) - len(since), after + len(since)
            first += [str(since[0])] if since else []
        found = f"{after} | {', '.join(first) or 'none'}" if drift else " | "
        yield f"| {drift or 'no drift'} | {len(of)} | {before} | {found} |"


def main() -> None:
    """Play the seasons that are asked for and print the tables."""
    asked = _parse()
    played = {
        setting: [_played(seed, setting, asked) for seed in range(asked.first, asked.first + asked.seeds)]
        for setting in asked.settings
    }
    print("| setting | release | offered | ended at | days | asked | utility lost | hides added |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for setting, seasons in played.items():
        print(*releases(setting, seasons), sep="\n")
    print("\n| drift | seasons | false alarms | alarms after it | days until the first |")
    print("| --- | --- | --- | --- | --- |")
    watched = [season for setting, of in played.items() for season in of if SETTINGS[setting].watched]
    print(*alarms(watched), sep="\n")


def _played(seed: int, setting: str, asked: argparse.Namespace) -> Season:
    season = read_or_play(seed, setting, asked)
    print(f"seed {seed}, {setting}: {len(season.releases)} releases", flush=True)
    return season


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6, help="how many; 40 for the whole")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--requests-per-day", type=int, help="in place of each setting's own")
    parser.add_argument("--settings", nargs="+", default=[*SETTINGS], choices=[*SETTINGS])
    parser.add_argument("--folder", type=Path, default=Path(".equipoise/eight_weeks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
