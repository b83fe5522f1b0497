"""Decides the test slice with Spark: blocks of whole requests, one per partition.

::

    this process    DuckDB reads the days  ->  <scratch>/candidates-3.arrow, labels-0.arrow
    a partition     loads the releases, decides one block  ->  <scratch>/decided-3.arrow
    this process    joins the blocks in the order of the rows

A partition runs the same code as a local replay, on the same rows in the same order, so the slice is
identical to the bit. A repeated partition writes the same file. Every machine of a cluster needs access to
the home.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks import errors
from tasks.errors import EquipoiseError
from tasks.evaluation.evidence import SlateRule
from tasks.logs.spark import session
from tasks.replay.decided_slice import (
    DecidedBlock,
    DecidedSlice,
    EntrantKey,
    SliceBuilder,
    build_slice,
    decide_block,
)
from tasks.replay.entrants import EntrantVersions
from tasks.replay.evidence import ConstraintLeak
from tasks.replay.joined_columns import Column
from tasks.replay.log import PolicySlates
from tasks.replay.logged_candidates import CandidateBlock, SpanLabels, candidate_blocks
from tasks.replay.read_log import Ids, LogBlock
from tasks.replay.slates import TestSlice, release_examination
from tasks.stores.files import scratch, scratch_folder
from tasks.stores.manifest import Manifest
from tasks.stores.workspace import Workspace

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
    """Write a block to a temporary file, and rename it at the end."""
    columns = {
        json.dumps(place): pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values))
        for place, values in _arrays(block)
    }
    part = file.with_suffix(".part")
    table = pa.table(columns).replace_schema_metadata({_FACTS: json.dumps(_facts(block))})
    _write(table, part)
    part.replace(file)


def read_block_file(file: Path) -> DecidedBlock:
    """Read a block written by `write_block`."""
    table = _read(file)
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
    """Yield every array of a block with its path; columns by name keep the order in which they are summed."""
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


def _slates(columns: _Columns, key: list[str], **named: Any) -> PolicySlates:
    place = ("slates", *key)
    of_rows = {n: _numpy(columns[*place, n]) if (*place, n) in columns else None for n in _OF_ROWS}
    by_name = {name: _named(columns, (*place, name)) for name in _BY_NAME}
    arrays: dict[str, Any] = {**of_rows, **by_name}
    return PolicySlates(**named, **arrays)


def _named(columns: _Columns, place: _Place) -> dict[str, Column]:
    """Return the columns below a path, by their own names."""
    return {one[-1]: _numpy(values) for one, values in columns.items() if one[:-1] == place}


def _numpy(values: pa.Array) -> Column:
    array: Column = values.to_numpy(zero_copy_only=False)
    return array


PARTITION_ROWS: Final = 200_000
"""Candidates that a partition decides at once: each partition reads the labels of a whole day."""
_ANSWER: Final = "block long, error string, message string"


@dataclass(frozen=True)
class _Job:
    """Settings of every partition; ``spans``: by block, the number of its labels file, -1 for none."""

    surface: str
    surfaces: str
    home: str
    folder: str
    entrants: str
    spans: list[int]

    def read(self, block: int) -> CandidateBlock:
        span = self.spans[block]
        labels = None if span < 0 else SpanLabels(_read(_labels_file(Path(self.folder), span)))
        return CandidateBlock(_read(_candidates_file(Path(self.folder), block)), labels)


def decide_slice_with_spark(
    workspace: Workspace, manifest: Manifest, entrants: EntrantVersions, *, rows: int = PARTITION_ROWS
) -> DecidedSlice:
    """Read the days that a release was not trained on, and decide on the blocks with Spark.

    Parameters
    ----------
    rows : minimum number of candidates per block, except for the last of a day.

    Raises
    ------
    ContractError
        Spark or Java is not installed.
    DataError
        The slice has no candidates, or the order does not exist.
    StoreError
        Spark failed.
    """
    place = scratch_folder(workspace.home)
    builder = SliceBuilder()
    with scratch(place, "replay-") as folder:
        spans = _write_blocks(workspace, manifest, folder, rows)
        if spans:
            job = _Job(
                workspace.surface,
                str(workspace.surfaces),
                str(workspace.home),
                str(folder),
                entrants.to_json(),
                spans,
            )
            _run(workspace, job)
        for block in range(len(spans)):
            builder.add(read_block_file(_decided_file(folder, block)))
    return build_slice(builder, workspace, manifest)


def _write_blocks(workspace: Workspace, manifest: Manifest, folder: Path, rows: int) -> list[int]:
    """Write the blocks and their labels as read; return the number of each block's labels file."""
    spans: list[int] = []
    newest: SpanLabels | None = None
    count = -1
    for block in candidate_blocks(
        workspace, snapshot=manifest.snapshot.id, days=manifest.test, most_rows=rows
    ):
        if block.labels is not None and block.labels is not newest:
            newest, count = block.labels, count + 1
            _write(newest.table, _labels_file(folder, count))
        _write(block.candidates, _candidates_file(folder, len(spans)))
        spans.append(count)
    return spans


def _run(workspace: Workspace, job: _Job) -> None:
    """Decide every block; the first failed block raises its error."""
    count = len(job.spans)
    with session(scratch_folder(workspace.home), workspace.contracts.surface.engine) as spark:
        # one partition per block: Spark runs as many at once as it has threads
        blocks = spark.range(0, count, 1, count)
        answers = blocks.mapInArrow(partial(_decide_partition, json.dumps(asdict(job))), _ANSWER).collect()
    for answer in sorted(answers, key=lambda one: int(one.block)):
        if answer.error is not None:
            kind: type[EquipoiseError] = getattr(errors, answer.error)
            raise kind(answer.message)


def _decide_partition(job: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Decide the blocks of a partition, in a Spark worker process."""
    kinds = [("block", pa.int64()), ("error", pa.string()), ("message", pa.string())]
    for batch in batches:
        answers = [_decide(job, block) for block in batch.column(0).to_pylist()]
        yield pa.RecordBatch.from_pylist(answers, schema=pa.schema(kinds))


def _decide(job: str, block: int) -> dict[str, int | str | None]:
    """Decide one block and write it; return an `EquipoiseError`, and let Spark report other errors."""
    try:
        _open(job)(block)
    except EquipoiseError as error:
        return {"block": block, "error": type(error).__name__, "message": str(error)}
    return {"block": block, "error": None, "message": None}


@lru_cache(maxsize=1)
def _open(text: str) -> Callable[[int], None]:
    """Load the releases of a job, once per process; the returned function decides and writes a block."""
    job = _Job(**json.loads(text))
    workspace = Workspace.open(job.surface, surfaces=Path(job.surfaces), home=Path(job.home))
    entrants = EntrantVersions.from_json(job.entrants).load(workspace)
    manifest = entrants.under_test.release.manifest
    curve = release_examination(workspace, manifest)
    complete = workspace.contracts.surface.logs_all_candidates

    def decide(block: int) -> None:
        test = TestSlice(workspace, job.read(block).frame, complete, curve)
        write_block(decide_block(test, entrants), _decided_file(Path(job.folder), block))

    return decide


def _candidates_file(folder: Path, block: int) -> Path:
    return folder / f"candidates-{block}.arrow"


def _labels_file(folder: Path, span: int) -> Path:
    return folder / f"labels-{span}.arrow"


def _decided_file(folder: Path, block: int) -> Path:
    return folder / f"decided-{block}.arrow"


def _write(table: pa.Table, file: Path) -> None:
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read(file: Path) -> pa.Table:
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()
