"""Batches as Arrow tables: candidates, impressions, events and the truth."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks import columns as c
from tasks.arrays import Flags, Floats, Integers, Names, SingleFloats
from tasks.datasets.world.catalog import DAY_US, Absences, ineligible, out_of_stock
from tasks.datasets.world.entities import (
    CATEGORIES,
    CONTROLS,
    CREATORS,
    DEVICES,
    EXPLORE,
    LESS,
    MORE,
    MUTED,
    PAGES,
    PERMIT_UNKNOWN,
    REGIONS,
    SHELVES,
    SLOTS,
    SOURCES,
    TENURES,
    VALUES,
    Batch,
    Happened,
    Outcomes,
    Shown,
    World,
)

_INSTANT = pa.timestamp("us", tz="UTC")
_CREATOR_NAMES = tuple(f"c{i:03d}" for i in range(CREATORS))
_STRINGS = pa.dictionary(pa.int32(), pa.string())

EVENTS_SCHEMA = pa.schema(
    {
        c.EVENT: _STRINGS,
        c.HAPPENED_AT: _INSTANT,
        c.USER_ID: _STRINGS,
        c.ITEM_ID: _STRINGS,
        c.REQUEST_ID: _STRINGS,
        c.VALUE: pa.float64(),
        c.INGESTED_AT: _INSTANT,
        "category": _STRINGS,
    }
)


@dataclass(frozen=True)
class Clock:
    """Converts the world's time, microseconds since the first midnight (``start``), to instants."""

    start: datetime

    def instants(self, at: Integers) -> pa.Array:
        """Return instants in UTC."""
        epoch = np.int64(self.start.timestamp()) * 1_000_000
        return pa.array(at + epoch).cast(_INSTANT)

    def stamp(self, day: int) -> str:
        """Return a day as eight digits."""
        return f"{self.start + timedelta(days=day):%Y%m%d}"


def shown_of(world: World, batch: Batch) -> Shown:
    """Return the candidates that the world's own ranker shows."""
    count = len(batch.requests.user)
    rows = (np.arange(count)[:, None] * world.candidates + batch.placement.order).ravel()
    position = np.tile(np.arange(1, SLOTS + 1, dtype=np.int16), count)
    return shown_at(world, batch, rows, position, batch.placement.propensity.ravel())


def shown_at(
    world: World,
    batch: Batch,
    rows: Integers,
    position: npt.NDArray[np.int16],
    propensity: Floats,
) -> Shown:
    """Return some candidates of a batch as shown impressions.

    Parameters
    ----------
    rows : [k] their indices in the batch's candidates, by request and position.
    position, propensity : [k].
    """
    item, request = batch.item.ravel()[rows], rows // world.candidates
    user = batch.requests.user[request]
    return Shown(
        row=rows,
        request=request,
        user=user,
        item=item,
        position=position,
        propensity=propensity,
        at=batch.requests.at[request] + batch.day * DAY_US,
        price=world.catalog.price[item],
        slow=np.ones(len(rows)) if world.delays is None else world.delays[user].astype(np.float64),
    )


def offered_table(world: World, clock: Clock, batch: Batch, request_ids: Names) -> pa.Table:
    """Return every candidate of a batch with the features known before serving."""
    return pa.table({**_key_columns(clock, batch, request_ids), **_feature_columns(world, batch)})


def candidates_table(
    world: World, clock: Clock, batch: Batch, request_ids: Names, shown: Shown, outcomes: Outcomes
) -> pa.Table:
    """Return every candidate of a batch with its logged columns; rows not shown have no position."""
    hidden = np.ones(batch.item.size, dtype=bool)
    hidden[shown.row] = False
    placed: dict[str, npt.NDArray[Any]] = {
        c.POSITION: shown.position.astype(np.int32),
        c.PROPENSITY: shown.propensity,
        c.VISIBLE: outcomes.visible,
    }
    return pa.table(
        {
            **_key_columns(clock, batch, request_ids),
            c.SHOWN: ~hidden,
            **{name: where_shown(values, shown.row, hidden) for name, values in placed.items()},
            **_feature_columns(world, batch),
        }
    )


def _feature_columns(world: World, batch: Batch) -> dict[str, object]:
    return {
        **_request_columns(world, batch),
        **_item_columns(world, batch),
        **_pair_columns(world, batch),
        **({} if world.controls is None else _control_columns(batch)),
    }


def where_shown(values: npt.NDArray[Any], rows: Integers, hidden: Flags) -> pa.Array:
    """Return the values of the shown rows among all candidates, null for hidden rows."""
    spread = np.zeros(len(hidden), dtype=values.dtype)
    spread[rows] = values
    return pa.array(spread, mask=hidden)


def _key_columns(clock: Clock, batch: Batch, request_ids: Names) -> dict[str, pa.Array]:
    asked, each = batch.requests, _each_candidate(batch)
    return {
        c.REQUEST_ID: pa.DictionaryArray.from_arrays(each, pa.array(request_ids)),
        c.USER_ID: pa.DictionaryArray.from_arrays(each, pa.array(user_ids(asked.user))),
        c.ITEM_ID: _item_ids(batch.item.ravel()),
        c.SHOWN_AT: clock.instants((asked.at + batch.day * DAY_US)[each]),
    }


def _request_columns(world: World, batch: Batch) -> dict[str, object]:
    asked, users, each = batch.requests, world.users, _each_candidate(batch)
    user = asked.user[each]
    return {
        "page": _words(asked.checkout[each], PAGES),
        "device": _words(asked.device[each], DEVICES),
        "user_tenure": _words(users.tenure[user], TENURES),
        "region": _words(users.region[user], REGIONS),
        "user_price_sensitivity": users.thrift.seen[user],
        "user_buyer_score": users.buyer.seen[user],
        "user_hide_score": users.touchy.seen[user],
    }


def _each_candidate(batch: Batch) -> npt.NDArray[np.int32]:
    """Return the request index of every candidate of a batch."""
    return np.repeat(np.arange(len(batch.item), dtype=np.int32), batch.item.shape[1])


def _item_columns(world: World, batch: Batch) -> dict[str, object]:
    items, item, seen = world.catalog, batch.item.ravel(), batch.seen
    return {
        c.SOURCE: _words(batch.source.ravel(), SOURCES),
        "category": _words(items.category[item], CATEGORIES),
        "creator": _words(items.creator[item], _CREATOR_NAMES),
        "price": items.price[item],
        "margin": items.margin[item],
        "item_age_days": seen.age[item],
        "item_popularity": seen.popularity[item],
        "item_click_rate": _rate(-1.9, 0.5 * seen.appeal + 0.35 * seen.bait)[item],
        "item_hide_rate": _rate(-4.6, 0.75 * seen.bait)[item],
        "item_return_rate": _rate(-1.4, 0.6 * seen.misfit)[item],
        "item_rating": (5 * _rate(0.8, 0.7 * seen.quality))[item],
        "sponsored": items.sponsored[item],
        "policy_violation": items.violation[item],
    }


def _pair_columns(world: World, batch: Batch) -> dict[str, object]:
    restricted = world.catalog.restricted[batch.item]
    region = world.users.region[batch.requests.user][:, None]
    return {
        "user_category_affinity": batch.affinity.seen.ravel(),
        "exploration": (batch.source == EXPLORE).ravel(),
        "permitted": pa.array((restricted != region).ravel(), mask=(restricted == PERMIT_UNKNOWN).ravel()),
        "retrieval_score": batch.score.ravel(),
    }


def _control_columns(batch: Batch) -> dict[str, object]:
    wish = batch.wish.ravel()
    asked = pa.array(wish.astype(np.int32) - MORE, mask=(wish != MORE) & (wish != LESS))
    return {
        "muted_by_user": wish == MUTED,
        "user_control": pa.DictionaryArray.from_arrays(asked, pa.array(CONTROLS)),
    }


def _rate(base: float, effect: SingleFloats) -> SingleFloats:
    return (1 / (1 + np.exp(-(np.float32(base) + effect)))).astype(np.float32)


def impressions_table(candidates: pa.Table, shown_rows: Integers) -> pa.Table:
    """Return the shown candidates by request and position."""
    return candidates.drop_columns([c.SHOWN]).take(pa.array(shown_rows))


def events_table(
    world: World, clock: Clock, request_ids: Names, shown: Shown, outcomes: Outcomes
) -> pa.Table:
    """Return the events of a batch in order of time."""
    parts = [_events_of(world, clock, request_ids, shown, kind) for kind in outcomes.events]
    return pa.concat_tables(parts).unify_dictionaries().sort_by(c.HAPPENED_AT)


def _events_of(world: World, clock: Clock, request_ids: Names, shown: Shown, kind: Happened) -> pa.Table:
    item, n = shown.item[kind.row], len(kind.row)
    request = pa.array(request_ids[shown.request[kind.row]]) if kind.tagged else pa.nulls(n, pa.string())
    columns = {
        c.EVENT: pa.array([kind.event]).take(pa.array(np.zeros(n, dtype=np.int8))),
        c.HAPPENED_AT: clock.instants(kind.at),
        c.USER_ID: pa.array(user_ids(shown.user[kind.row])),
        c.ITEM_ID: _item_ids(item),
        c.REQUEST_ID: request,
        c.VALUE: pa.array(kind.value, mask=np.isnan(kind.value)),
        c.INGESTED_AT: clock.instants(kind.known_at),
        "category": _words(world.catalog.category[item], CATEGORIES),
    }
    return pa.table(columns).cast(EVENTS_SCHEMA)


def absences_table(world: World, clock: Clock, day: int) -> pa.Table:
    """Return a day's events of items and of users, which name only an item or only a person."""
    stock = out_of_stock(world.catalog, world.seed, day)
    people = ineligible(world.seed, day, world.users.count)
    parts = [
        _absence(clock, day, "out_of_stock", stock, {c.ITEM_ID: _item_ids(stock.ids)}),
        _absence(clock, day, "ineligible", people, {c.USER_ID: pa.array(user_ids(people.ids))}),
    ]
    return pa.concat_tables(parts).unify_dictionaries().sort_by(c.HAPPENED_AT)


def _absence(clock: Clock, day: int, event: str, absences: Absences, who: dict[str, pa.Array]) -> pa.Table:
    n = len(absences.ids)
    at = clock.instants(absences.since + day * DAY_US)
    known = {c.EVENT: pa.array([event] * n, pa.string()), c.HAPPENED_AT: at, c.INGESTED_AT: at, **who}
    columns = {f.name: known.get(f.name, pa.nulls(n, f.type)) for f in EVENTS_SCHEMA}
    return pa.table(columns).cast(EVENTS_SCHEMA)


def truth_table(keys: pa.Table, reference: dict[str, Floats], actual: dict[str, Floats]) -> pa.Table:
    """Return the keys with each task's truth at the reference position and at the actual one."""
    columns = {name: keys[name] for name in c.IMPRESSION_KEY}
    for task, values in reference.items():
        name = c.expected_value(task) if task in VALUES else c.probability(task)
        columns[name] = values
        if task in actual:
            columns[f"{name}__shown"] = actual[task]
    return pa.table(columns)


def user_ids(user: Integers) -> Names:
    """Return the ids of people."""
    return np.char.mod("u%06d", user)


def request_names(clock: Clock, day: int, first: int, count: int) -> Names:
    """Return the ids of a day's requests, beginning with number ``first``."""
    return np.char.mod(f"r{clock.stamp(day)}-%06d", np.arange(first, first + count))


def _item_ids(item: Integers) -> pa.DictionaryArray:
    distinct, code = np.unique(item, return_inverse=True)
    shelf, generation = np.char.mod("i%05d", distinct % SHELVES), np.char.mod("-%d", distinct // SHELVES)
    return pa.DictionaryArray.from_arrays(code.astype(np.int32), pa.array(np.char.add(shelf, generation)))


def _words(codes: npt.NDArray[np.generic], vocabulary: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(vocabulary))
