"""The test slice read and decided block by block: what a replay needs of each is kept, and the block dropped.

::

    day -> Arrow -> blocks of whole requests -> scored and decided by every policy -> narrow columns of numpy

So features, texts and scored frames lie in memory for one block alone. Blocks follow in the order in which
the slice is read whole, so the log, the slates and whatever is measured are the same to the bit.
"""

from collections.abc import Iterator
from typing import Final

from tasks.errors import DataError
from tasks.replay.decided_block import DecidedBlock, Entrants, decide_block
from tasks.replay.decided_slice import DecidedSlice, SliceBuilder
from tasks.replay.logged_candidates import Days, candidate_blocks
from tasks.replay.slates import TestSlice, log_reading, release_examination
from tasks.stores.manifest import Manifest
from tasks.stores.workspace import Workspace

BLOCK_ROWS: Final = 200_000
"""Candidates that are scored and decided at once."""


def decide_slice(
    workspace: Workspace, manifest: Manifest, entrants: Entrants, *, rows: int = BLOCK_ROWS
) -> DecidedSlice:
    """Read the days that a release was not trained on, and let every entrant decide on each block.

    Parameters
    ----------
    rows : candidates of a block, at least, but for the last of a day.

    Raises
    ------
    DataError
        The slice holds no candidate, or there is no such order.
    """
    builder = SliceBuilder()
    for _, decided in decided_blocks(workspace, manifest, entrants, rows=rows):
        builder.add(decided)
    return build_slice(builder, workspace, manifest)


def decided_blocks(
    workspace: Workspace, manifest: Manifest, entrants: Entrants, *, rows: int = BLOCK_ROWS
) -> Iterator[tuple[TestSlice, DecidedBlock]]:
    """Yield each block as it was read and as it was decided; parameters as of `decide_slice`."""
    for test in slice_blocks(workspace, manifest, manifest.test, rows=rows):
        yield test, decide_block(test, entrants)


def slice_blocks(
    workspace: Workspace, manifest: Manifest, days: Days, *, rows: int = BLOCK_ROWS
) -> Iterator[TestSlice]:
    """Yield the candidates of some days in blocks of whole requests, as they are read for a release.

    Parameters
    ----------
    days : the first and the last day, both included.
    rows : as of `decide_slice`.
    """
    curve = release_examination(workspace, manifest)
    complete = workspace.contracts.surface.logs_all_candidates
    blocks = candidate_blocks(workspace, snapshot=manifest.snapshot.id, days=days, most_rows=rows)
    yield from (TestSlice(workspace, block.frame, complete, curve) for block in blocks)


def build_slice(builder: SliceBuilder, workspace: Workspace, manifest: Manifest) -> DecidedSlice:
    """Return the slice of all blocks that were added.

    Raises
    ------
    DataError
        There is none, or no block has the order that is the baseline.
    """
    if builder.empty:
        first, last = manifest.test
        raise DataError(f"No candidate from {first} to {last}: there is nothing to rehearse the decision on")
    reading = log_reading(workspace.contracts, release_examination(workspace, manifest))
    return builder.build(workspace.contracts, reading)
