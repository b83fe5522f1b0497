"""Decided blocks as Arrow files: what one process decided, another joins, equal to the bit.

::

    one row     each array is a list column, named by its place: log/labels/click, slates/policy//slot ...
    metadata    what is no array, as JSON: names, ids (texts or numbers, or both), kinds, what was counted
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks.evaluation.replay_evidence import ConstraintLeak, SlateRule
from tasks.replay.decided_block import DecidedBlock, EntrantKey
from tasks.replay.growing import Column
from tasks.replay.log import Slates
from tasks.replay.log_block import Ids, LogBlock

_Place = tuple[str, ...]
_Columns = dict[_Place, pa.Array]

_FACTS: Final = b"facts"
_LOG: Final = (
    "requests",
    "days",
    "position",
    "shown",
    "rows",
    "propensity",
    "drawable",
    "latency",
    "served_by",
)
_OF_ROWS: Final = ("slot", "utility", "rank")
_BY_NAME: Final = ("predictions", "where_shown", "contributions", "worth")


def write_block(block: DecidedBlock, file: Path) -> None:
    """Write a block under a name of its own, and give it the file's name at the end."""
    columns = {json.dumps(place): _as_list(values) for place, values in _arrays(block)}
    part = file.with_suffix(".part")
    table = pa.table(columns).replace_schema_metadata({_FACTS: json.dumps(_facts(block))})
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    part.replace(file)


def read_block_file(file: Path) -> DecidedBlock:
    """Read a block that `write_block` wrote."""
    with pa.memory_map(str(file)) as source:
        table = pa.ipc.open_file(source).read_all()
    facts = json.loads(table.schema.metadata[_FACTS])
    columns = {
        tuple(json.loads(name)): column.chunk(0).flatten()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return DecidedBlock(
        log=_log(columns, facts["kinds"], facts["known"]),
        kept=_numpy(columns["kept",]),
        slates={EntrantKey(*key): _slates(columns, key, **named) for key, named in facts["slates"]},
        predicted={EntrantKey(*key): _named(columns, ("predicted", *key)) for key in facts["predicted"]},
        rules=tuple(SlateRule(**rule) for rule in facts["rules"]),
        no_order=facts["no_order"],
        leaks={name: tuple(ConstraintLeak(**one) for one in found) for name, found in facts["leaks"].items()},
    )


def _facts(block: DecidedBlock) -> Mapping[str, Any]:
    return {
        "kinds": dict(block.log.kinds),
        "known": {"users": block.log.users.known, "items": block.log.items.known},
        "slates": [
            (key, {"name": one.name, "release": one.release, "follows_log": one.follows_log})
            for key, one in block.slates.items()
        ],
        "predicted": list(block.predicted),
        "rules": [rule.model_dump() for rule in block.rules],
        "no_order": block.no_order,
        "leaks": {name: [leak.model_dump() for leak in found] for name, found in block.leaks.items()},
    }


def _arrays(block: DecidedBlock) -> Iterator[tuple[_Place, Column | list[Any]]]:
    """Yield every array of a block with its place; columns by name in the order in which they are summed."""
    log = block.log
    yield ("kept",), block.kept
    yield from ((("log", name), one) for name in _LOG if (one := getattr(log, name)) is not None)
    for name, ids in (("users", log.users), ("items", log.items)):
        yield ("log", name, "codes"), ids.codes
    for name, column in log.segments.items():
        yield ("log", "segments", name, "codes"), column.codes
        yield ("log", "segments", name, "words"), list(map(str, column.categories))
    yield from _placed(("log", "labels"), log.labels)
    yield from _placed(("log", "immature"), log.immature)
    for key, slates in block.slates.items():
        place = ("slates", *key)
        yield from (((*place, name), one) for name in _OF_ROWS if (one := getattr(slates, name)) is not None)
        for name in _BY_NAME:
            yield from _placed((*place, name), getattr(slates, name))
    for key, columns in block.predicted.items():
        yield from _placed(("predicted", *key), columns)


def _placed(place: _Place, columns: Mapping[str, Column]) -> Iterator[tuple[_Place, Column]]:
    yield from (((*place, name), values) for name, values in columns.items())


def _as_list(values: Column | list[Any]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values))


def _log(columns: _Columns, kinds: Mapping[str, str], known: Mapping[str, list[Any]]) -> LogBlock:
    arrays = {name: _numpy(columns["log", name]) if ("log", name) in columns else None for name in _LOG}
    ids = {name: Ids(_numpy(columns["log", name, "codes"]), known[name]) for name in ("users", "items")}
    of_segments = [place[2] for place in columns if place[:2] == ("log", "segments") and place[-1] == "codes"]
    segments = {name: _segment(columns, ("log", "segments", name)) for name in of_segments}
    rest = {name: _named(columns, ("log", name)) for name in ("labels", "immature")}
    made: dict[str, Any] = {**arrays, **ids, "segments": segments, "kinds": kinds, **rest}
    return LogBlock(**made)


def _segment(columns: _Columns, place: _Place) -> "pd.Categorical[Any]":
    words: pd.Index[Any] = pd.Index(columns[*place, "words"].to_pylist(), dtype=object)
    return pd.Categorical.from_codes(np.array(_numpy(columns[*place, "codes"])), categories=words)


def _slates(columns: _Columns, key: list[str], **named: Any) -> Slates:
    place = ("slates", *key)
    of_rows = {n: _numpy(columns[*place, n]) if (*place, n) in columns else None for n in _OF_ROWS}
    by_name = {name: _named(columns, (*place, name)) for name in _BY_NAME}
    arrays: dict[str, Any] = {**of_rows, **by_name}
    return Slates(**named, **arrays)


def _named(columns: _Columns, place: _Place) -> dict[str, Column]:
    """Return the columns that lie at a place, by their own names."""
    return {one[-1]: _numpy(values) for one, values in columns.items() if one[:-1] == place}


def _numpy(values: pa.Array) -> Column:
    array: Column = values.to_numpy(zero_copy_only=False)
    return array
