"""Writes the log tables of a simulated feed and its true probabilities.

::

    out/impressions/<day>.parquet   shown items             out/truth.parquet   true probabilities
    out/candidates/<day>.parquet    scored items            out/world.json      the parameters
    out/events/<day>.parquet        events of that day's impressions, whenever they happened

The same parameters give the same tables; more days leave the tables of earlier days unchanged. The folder
appears only when complete.

User controls are wishes that people tell the feed::

    mute        creators                        muted_by_user  true
    less, more  creators, and one category      user_control   less | more | null
                the category that they truly like least or most

They hold from the first day on, are logged with every candidate, and affect clicks, hides and likes
(``truth.py``). The logging policy ignores them. A control of a creator has precedence over one of a category.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.arrays import Names
from tasks.datasets.world.catalog import draw_catalog, draw_creators, draw_users
from tasks.datasets.world.entities import LESS, MORE, MUTED, Batch, Controls, Stream, Trait, World, generator
from tasks.datasets.world.feed import draw_batch, draw_requests
from tasks.datasets.world.tables import (
    Clock,
    absences_table,
    candidates_table,
    events_table,
    impressions_table,
    request_names,
    shown_of,
    truth_table,
)
from tasks.datasets.world.truth import PURCHASE_DAYS, behave, chances, probabilities
from tasks.errors import ContractError
from tasks.text_files import read_json

START = date(2026, 1, 1)

_LAST_EVENT_DAYS = 38
_BATCH = 4096
_USERS_PER_REQUEST = 12
_LEAST_USERS = 600
_MARK = "world.json"
_ONE_FILE = ("truth", "candidate_truth")
_MAKE = 1
"""Increased whenever the same parameters give another world."""

Tables = dict[str, pa.Table]

_SHARE = 0.5
"""Share of people who use a control, for each of the three."""


class ParquetFiles:
    """Writers of Parquet files in a folder, one row group per table; one file per kind is open at a time.

    Strings are stored as plain strings: the Arrow schema, which would restore dictionaries, is omitted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[str | None, pq.ParquetWriter]] = {}

    def write(self, kind: str, name: str | None, table: pa.Table) -> None:
        """Append a table to ``<kind>/<name>.parquet``, or to ``<kind>.parquet`` without a name.

        A new name of the same kind closes the previous file.
        """
        if kind in self._open and self._open[kind][0] != name:
            self._open.pop(kind)[1].close()
        if kind not in self._open:
            path = self._folder / (f"{kind}.parquet" if name is None else f"{kind}/{name}.parquet")
            path.parent.mkdir(exist_ok=True)
            self._open[kind] = (name, _writer(path, table.schema))
        self._open[kind][1].write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, writer in self._open.values():
            writer.close()


@dataclass(frozen=True)
class WorldResult:
    """The written world; days as ISO dates, counts in rows."""

    out: str
    first_day: str
    last_day: str
    requests: int
    impressions: int
    candidates: int
    events: int


@dataclass(frozen=True)
class Extras:
    """Optional features of a world.

    Attributes
    ----------
    candidate_truth : also write ``candidate_truth.parquet``, the truth of every candidate at the reference
        position, shown or not.
    user_controls : people mute creators and ask for less or more of creators and categories. Served slates do
        not change.
    """

    candidate_truth: bool = False
    user_controls: bool = False


_NO_EXTRAS: Final = Extras()


def generate(
    *,
    days: int,
    requests_per_day: int,
    seed: int,
    out: Path,
    start: date = START,
    extras: Extras = _NO_EXTRAS,
) -> WorldResult:
    """Generate a world into ``out``, which appears only when complete.

    Parameters
    ----------
    days, requests_per_day : at least 1; a request shows 12 of its 40 candidates.
    seed : not negative.
    out : a folder that is absent, empty, or already contains the same world (then nothing is written).
    start : the first day (UTC).
    extras : optional features.

    Raises
    ------
    ContractError
        A parameter is out of range, the world would end after today, or ``out`` contains something else.
    """
    asked = {"days": days, "requests_per_day": requests_per_day, "seed": seed, "start": start.isoformat()}
    # recorded only if there are some, so that other worlds keep their parameters
    controls = {"user_controls": True} if extras.user_controls else {}
    parameters = {**asked, "candidate_truth": extras.candidate_truth, **controls, "make": _MAKE}
    return write_world(out, parameters, _days(seed, days, requests_per_day, start, extras), start=start)


def write_world(
    out: Path, parameters: Mapping[str, Any], tables: Iterable[tuple[int, Tables]], *, start: date
) -> WorldResult:
    """Write the tables of a world's days into ``out``, which appears only when complete.

    Parameters
    ----------
    parameters : the world's parameters, as plain JSON: days, requests_per_day, seed and others.
    tables : day and tables by kind, drawn while they are written.
    """
    days, requests_per_day = parameters["days"], parameters["requests_per_day"]
    _check(days, requests_per_day, parameters["seed"], start)
    out = out.resolve()
    if (known := _already_there(out, parameters)) is not None:
        return known
    with whole_folder(out) as folder:
        counts = _write(tables, start, folder)
        last = start + timedelta(days=days - 1)
        result = WorldResult(str(out), start.isoformat(), last.isoformat(), days * requests_per_day, **counts)
        counted = {name: value for name, value in asdict(result).items() if name != "out"}
        mark = {"parameters": parameters, "result": counted}
        (folder / _MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    return result


def _check(days: int, requests_per_day: int, seed: int, start: date) -> None:
    for name, value, least in (
        ("days", days, 1),
        ("requests_per_day", requests_per_day, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ContractError(f"{name} is {value}: give {least} or more")
    room = (datetime.now(UTC).date() - start).days - _LAST_EVENT_DAYS
    if days > room:
        raise ContractError(
            f"{days} days from {start}: their last events would lie in the future. "
            f"Give at most {max(room, 0)} days or an earlier start"
        )


def _already_there(out: Path, parameters: Mapping[str, Any]) -> WorldResult | None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    found = _read_mark(out / _MARK)
    if found is None:
        raise ContractError(
            f"{out} holds something that is not a simulated world: give an empty folder as --out"
        )
    if found["parameters"] != parameters:
        raise ContractError(
            f"{out} holds a world of {found['parameters']}, not of {parameters}: "
            "give another folder as --out or remove that one"
        )
    return WorldResult(out=str(out), **found["result"])


def _read_mark(path: Path) -> Any:
    try:
        return read_json(path)
    except ContractError:
        return None


def _write(tables_of_days: Iterable[tuple[int, Tables]], start: date, folder: Path) -> dict[str, int]:
    """Write all days; one batch is written while the next is drawn."""
    counts = {"impressions": 0, "candidates": 0, "events": 0}
    with ExitStack() as stack:
        files = stack.enter_context(ParquetFiles(folder))
        writer = stack.enter_context(ThreadPoolExecutor(1))
        pending: Future[None] | None = None
        for day, tables in tables_of_days:
            for name in counts:
                counts[name] += tables[name].num_rows if name in tables else 0
            if pending is not None:
                pending.result()
            pending = writer.submit(_write_tables, files, str(start + timedelta(days=day)), tables)
        if pending is not None:
            pending.result()
    return counts


def _write_tables(files: ParquetFiles, day: str, tables: Tables) -> None:
    for name, table in tables.items():
        files.write(name, None if name in _ONE_FILE else day, table)


def _days(
    seed: int, days: int, requests_per_day: int, start: date, extras: Extras
) -> Iterator[tuple[int, Tables]]:
    """Yield the tables of each batch of each day, then the absences of the following week."""
    clock = Clock(datetime.combine(start, time(), UTC))
    users = draw_users(seed, max(_LEAST_USERS, _USERS_PER_REQUEST * requests_per_day))
    controls = draw_controls(seed, users.taste) if extras.user_controls else None
    world = World(seed, users, draw_catalog(seed, days + PURCHASE_DAYS + 1), controls)
    for day in range(days):
        yield day, {"events": absences_table(world, clock, day)}
        requests = draw_requests(world, day, requests_per_day)
        for number, first in enumerate(range(0, requests_per_day, _BATCH)):
            part = requests.part(first, first + _BATCH)
            batch = draw_batch(world, day, number, part)
            names = request_names(clock, day, first, len(part.user))
            rng = generator(world.seed, Stream.BEHAVIOUR, day, number)
            yield day, _tables(world, clock, batch, names, rng, candidate_truth=extras.candidate_truth)
    for day in range(days, days + PURCHASE_DAYS + 1):
        yield day, {"events": absences_table(world, clock, day)}


def _tables(
    world: World, clock: Clock, batch: Batch, names: Names, rng: np.random.Generator, *, candidate_truth: bool
) -> Tables:
    """Return every table of a batch; ``names`` are its request ids, ``rng`` draws its outcomes."""
    shown = shown_of(world, batch)
    all_chances = chances(world, batch)
    of_shown = all_chances.at(shown.row)
    outcomes = behave(world, shown, of_shown, rng)
    candidates = candidates_table(world, clock, batch, names, shown, outcomes)
    impressions = impressions_table(candidates, shown.row)
    tables = {
        "candidates": candidates,
        "impressions": impressions,
        "events": events_table(world, clock, names, shown, outcomes),
        "truth": truth_table(impressions, probabilities(of_shown), probabilities(of_shown, shown.position)),
    }
    if candidate_truth:
        tables["candidate_truth"] = truth_table(candidates, probabilities(all_chances), {})
    return tables


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder next to ``out`` that replaces it at the end; a failure leaves nothing.

    Files of a killed run are removed first. ``out`` must be absent or empty.
    """
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    words = [f.name for f in schema if pa.types.is_dictionary(f.type)]
    return pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=words, store_schema=False)


_MUTES, _OF_CREATORS = 6, 3
"""Number of creators that a person mutes, and that they want less or more of."""


def draw_controls(seed: int, taste: Trait) -> Controls:
    """Draw each person's controls.

    Parameters
    ----------
    taste : [users, categories].
    """
    count = len(taste.true)
    rng = generator(seed, Stream.CONTROLS, count)
    uses = {wish: rng.random(count) < _SHARE for wish in (MUTED, LESS, MORE)}
    creators = {
        wish: np.where(uses[wish][:, None], draw_creators(rng, (count, size)), -1)
        for wish, size in ((MUTED, _MUTES), (LESS, _OF_CREATORS), (MORE, _OF_CREATORS))
    }
    least, most = taste.true.argmin(axis=1), taste.true.argmax(axis=1)
    categories = {LESS: np.where(uses[LESS], least, -1), MORE: np.where(uses[MORE], most, -1)}
    return Controls(creators, {wish: of.astype(np.int8) for wish, of in categories.items()})
