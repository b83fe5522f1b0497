"""The test slice decided by Spark: blocks of whole requests, each in a partition of its own.

::

    this process    DuckDB reads the days  ->  <scratch>/candidates-3.arrow, labels-0.arrow
    a partition     loads the releases, decides one block  ->  <scratch>/decided-3.arrow
    this process    joins the blocks in the order of the rows

What a partition runs is what `stream` runs, on the same rows in the same order, so the slice is equal to the
bit. A partition that is run twice writes the same file. On a cluster every machine must see the home.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from tasks import errors
from tasks.errors import EquipoiseError
from tasks.logs.spark import session
from tasks.ranking.examination import Examination
from tasks.replay.block_file import read_block_file, write_block
from tasks.replay.decided_block import DecidedBlock, Entrants, decide_block
from tasks.replay.decided_slice import DecidedSlice, SliceBuilder
from tasks.replay.entrants import EntrantVersions
from tasks.replay.logged_candidates import CandidateBlock, SpanLabels, candidate_blocks
from tasks.replay.slates import TestSlice, release_examination
from tasks.replay.stream import BLOCK_ROWS, build_slice
from tasks.stores.manifest import Manifest
from tasks.stores.scratch import scratch, scratch_folder
from tasks.stores.workspace import Workspace

_ANSWER: Final = "block long, error string, message string"


@dataclass(frozen=True)
class _Job:
    """What every partition needs to know; ``spans`` is, by block, the number of its labels, -1 without."""

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
    workspace: Workspace, manifest: Manifest, entrants: EntrantVersions, *, rows: int = BLOCK_ROWS
) -> DecidedSlice:
    """Read the days that a release was not trained on, and let Spark decide on the blocks.

    Parameters
    ----------
    rows : candidates of a block, at least, but for the last of a day.

    Raises
    ------
    ContractError
        Spark or Java is not installed.
    DataError
        The slice holds no candidate, or there is no such order.
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
    """Write the blocks and their labels as they are read; return the number of each block's labels."""
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
    """Decide every block; of several that cannot be, the first says why."""
    count = len(job.spans)
    with session(scratch_folder(workspace.home), workspace.contracts.surface.engine) as spark:
        # a partition a block: Spark runs as many at once as it has threads
        blocks = spark.range(0, count, 1, count)
        answers = blocks.mapInArrow(partial(_decide_partition, json.dumps(asdict(job))), _ANSWER).collect()
    for answer in sorted(answers, key=lambda one: int(one.block)):
        if answer.error is not None:
            kind: type[EquipoiseError] = getattr(errors, answer.error)
            raise kind(answer.message)


def _decide_partition(job: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Decide the blocks of a partition, in a process of Spark's."""
    kinds = [("block", pa.int64()), ("error", pa.string()), ("message", pa.string())]
    for batch in batches:
        answers = [_decide(job, block) for block in batch.column(0).to_pylist()]
        yield pa.RecordBatch.from_pylist(answers, schema=pa.schema(kinds))


def _decide(job: str, block: int) -> dict[str, int | str | None]:
    """Decide one block and write it; an error of ours is its answer, any other is Spark's to report."""
    try:
        opened = _open(job)
        write_block(opened.decide(block), _decided_file(Path(opened.job.folder), block))
    except EquipoiseError as error:
        return {"block": block, "error": type(error).__name__, "message": str(error)}
    return {"block": block, "error": None, "message": None}


@dataclass(frozen=True)
class _Opened:
    """A job with all that is loaded for it."""

    job: _Job
    workspace: Workspace
    entrants: Entrants
    curve: Examination | None

    def decide(self, block: int) -> DecidedBlock:
        complete = self.workspace.contracts.surface.logs_all_candidates
        test = TestSlice(self.workspace, self.job.read(block).frame, complete, self.curve)
        return decide_block(test, self.entrants)


@lru_cache(maxsize=1)
def _open(text: str) -> _Opened:
    """Load the releases of a job, once a process."""
    job = _Job(**json.loads(text))
    workspace = Workspace.open(job.surface, surfaces=Path(job.surfaces), home=Path(job.home))
    entrants = EntrantVersions.from_json(job.entrants).load(workspace)
    manifest = entrants.under_test.release.manifest
    return _Opened(job, workspace, entrants, release_examination(workspace, manifest))


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
