"""Draws a task's examples from its train days: selects rows, labels and weights.

::

    observed rows of the train days, with outcomes as observed then (debiasing.py) -> drop rows of weight 0
      -> encoder -> sample negatives by key and segment -> weights, offsets, fold -> Examples

The features of the remaining rows are read last, in pieces (`TaskRows.observed_rows`), or by the workers of
a cluster (``tasks/training/cluster.py``). Each decision is one small function, in this order; each factor of
the weights is one line in `_weight_factors`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.arrays import Flags, Floats, Integers, RowNumbers
from tasks.columns import ITEM_ID, PROPENSITY, REQUEST_ID, SHOWN_AT, USER_ID
from tasks.contracts.training import ExampleWeights
from tasks.errors import DataError, ImmatureLabels
from tasks.ranking.candidates import read_numbers
from tasks.ranking.features import FeatureEncoder
from tasks.stores.files import scratch_folder
from tasks.training import debiasing
from tasks.training.encoding import encode_pieces, fit_encoder
from tasks.training.examples import ClusterFeatures, Examples, StoredFeatures
from tasks.training.rows import ROW, TaskRows, read_labels
from tasks.training.sampling import (
    age_weights,
    balance_classes,
    column_weights,
    combine_factors,
    describe_factors,
    hold_out_users,
    negative_rates,
    propensity_weights,
    sample_rows,
)
from tasks.training.slices import DaySlice
from tasks.training.trainable import require_trainable


@dataclass(frozen=True)
class TrainingRows:
    """Examples of one head, with counts and weights.

    Attributes
    ----------
    counts : number of ``observed`` rows with positive weight, ``positives`` among them, dropped rows
        ``of_weight_0``, ``sampled`` rows, and ``held_out`` rows among the latter.
    factors : minimum, mean, maximum and effective sample size of each weight factor.
    """

    examples: Examples
    encoder: FeatureEncoder
    counts: dict[str, int]
    factors: dict[str, dict[str, float]]


@dataclass(frozen=True)
class DrawnRows:
    """Rows of one head before they are encoded.

    Attributes
    ----------
    observed : rows with an observed outcome and positive weight.
    kept : [observed] whether a row is sampled.
    factors : factors of the weights of the kept rows, by name.
    rates : [kept] sampling rate of negatives in the row's segment.
    """

    observed: pa.Table
    kept: Flags
    factors: Mapping[str, Floats]
    rates: Floats
    counts: dict[str, int]

    @cached_property
    def table(self) -> pa.Table:
        """The sampled rows."""
        return self.observed if self.kept.all() else self.observed.filter(pa.array(self.kept))


def draw_rows(rows: TaskRows) -> DrawnRows:
    """Read the observed, weighted and sampled rows of a task."""
    table = _read(rows, rows.slices.train, rows.learned.categorical)
    drawn = _draw(rows, _sort_by_request(table) if rows.kind == "ranking" else table)
    outcomes = read_labels(drawn.observed, rows.task)
    minimum = rows.workspace.contracts.surface.minimum.positives
    require_trainable(rows.task, outcomes, kind=rows.kind, minimum=minimum)
    require_negatives(rows.task, int((outcomes == 0).sum()), read_labels(drawn.table, rows.task))
    return drawn


def draw_span(rows: TaskRows, days: DaySlice, *, within: str, columns: Iterable[str]) -> DrawnRows:
    """Read the rows of some train days that meet a condition, without checks on all rows.

    They have keys, label and ``columns``, and features only if these predict the response. Their weights are
    on one scale with those of other days, so their mean is not 1.
    """
    table = _read(rows, days, columns, within=within)
    return _draw(rows, table, newest=rows.slices.train.end)


def _draw(rows: TaskRows, table: pa.Table, newest: datetime | None = None) -> DrawnRows:
    known = debiasing.restore_known_labels(rows, table)
    table, factors = _weigh_rows(rows, known, newest)
    outcomes = read_labels(table, rows.task)
    counts = {
        "observed": len(table),
        "positives": int(np.count_nonzero(outcomes)),
        "of_weight_0": len(known) - len(table),
    }
    rates = _negative_rates(rows, table)
    key = [table.column(name) for name in (REQUEST_ID, ITEM_ID)]
    kept = sample_rows(outcomes > 0, key, negatives=rates, salt=f"negatives of {rows.task}")
    return DrawnRows(
        table, kept, {name: values[kept] for name, values in factors.items()}, rates[kept], counts
    )


def draw_training_rows(rows: TaskRows, *, encoder: FeatureEncoder | None = None) -> TrainingRows:
    """Read and encode a task's examples; the outcomes are freed before the features are read."""
    drawn = draw_rows(rows)
    encoder = encoder or fit_encoder(drawn.observed, rows.learned)
    counts, factors = drawn.counts, describe_factors(drawn.factors)
    columns, numbers = _example_columns(rows, drawn), drawn.table.column(ROW).to_numpy()
    del drawn
    pa.default_memory_pool().release_unused()
    features = _find_features(rows, numbers, encoder)
    examples = Examples(features, names=encoder.names, categorical=encoder.categorical, **columns)
    counts |= {"sampled": len(examples), "held_out": int(examples.held_out.sum())}
    return TrainingRows(examples, encoder, counts, factors)


def _example_weights(rows: TaskRows) -> ExampleWeights:
    return rows.training.weights or ExampleWeights()


def balances(rows: TaskRows) -> bool:
    """Whether positives and negatives have equal total weights."""
    return _example_weights(rows).balanced and rows.kind == "binary"


def _read(rows: TaskRows, days: DaySlice, columns: Iterable[str], *, within: str = "") -> pa.Table:
    weights_of, sampling = _example_weights(rows), rows.spec.sampling
    wanted = {
        SHOWN_AT: weights_of.half_life is not None,
        PROPENSITY: weights_of.propensity is not None,
        **({weights_of.column: True} if weights_of.column else {}),
        **(dict.fromkeys(sampling.by, True) if sampling else {}),
        **dict.fromkeys(debiasing.weight_columns(rows), True),
    }
    features = rows.features if rows.answers_weighed is not None else ()  # these predict the response
    names = [*features, *(name for name, needed in wanted.items() if needed), *columns]
    return rows.read_outcomes(days, names, within=within)


def _weigh_rows(
    rows: TaskRows, table: pa.Table, newest: datetime | None
) -> tuple[pa.Table, dict[str, Floats]]:
    """Drop the rows of weight 0, and return the weights of the others by factor."""
    factors: dict[str, Floats] = {}
    if (column := _example_weights(rows).column) is not None:
        values = _read_floats(table, column, "weights.column")
        logged = column_weights(values, task=rows.task, column=column)
        if len(logged) and not logged.any() and newest is None:
            raise ImmatureLabels(
                f"Task '{rows.task}' cannot be trained: all {len(logged)} observed rows of its train slice "
                f"weigh 0 by '{column}' (weights.column). It needs rows above 0."
            )
        table, factors["column"] = table.filter(pa.array(logged > 0)), logged[logged > 0]
    return table, {**factors, **dict(_weight_factors(rows, table, newest))}


def _weight_factors(rows: TaskRows, table: pa.Table, newest: datetime | None) -> Iterator[tuple[str, Floats]]:
    """Yield all other weight factors, each above 0, by name."""
    spec = _example_weights(rows)
    if spec.half_life is not None and len(table):
        shown_at = table.column(SHOWN_AT).to_numpy()
        yield "half_life", age_weights(shown_at, spec.half_life, newest=newest)
    if spec.propensity is not None:
        logged = _read_floats(table, PROPENSITY, "weights.propensity")
        yield "propensity", propensity_weights(logged, clip=spec.propensity.clip, task=rows.task)
    yield from debiasing.weight_factors(rows, table)


def _negative_rates(rows: TaskRows, table: pa.Table) -> Floats:
    """Return the sampling rate of negatives in each row's segment, shape [rows]."""
    sampling = rows.spec.sampling
    if sampling is None or not sampling.by:
        return np.full(len(table), 1.0 if sampling is None else sampling.negatives)
    columns = {name: table.column(name) for name in sampling.by}
    return negative_rates(columns, sampling.by, others=sampling.negatives)


def require_negatives(task: str, negatives: int, sampled: Sequence[float] | Floats) -> None:
    """Refuse samples without negatives, by the labels of the sampled rows."""
    if len(sampled) and np.ptp(sampled) == 0:
        raise DataError(
            f"Task '{task}' cannot be trained: sampling keeps none of the {negatives} "
            "negatives of its train slice. Raise sampling.negatives in tasks.yaml."
        )


def _weigh_examples(rows: TaskRows, drawn: DrawnRows) -> tuple[Floats | None, Floats]:
    """Return the weights of the sampled rows, None if all are equal, and the log odds added by sampling."""
    weighed, offset = combine_factors(drawn.factors.values()), -np.log(drawn.rates)
    if balances(rows):
        weighed, balance = balance_classes(read_labels(drawn.table, rows.task), weighed)
        offset = offset + balance
    return weighed, offset


def _example_columns(rows: TaskRows, drawn: DrawnRows) -> dict[str, Any]:
    """Return the columns of the examples except features, by the names of `Examples`."""
    weighed, offset = _weigh_examples(rows, drawn)
    share, table = rows.workspace.contracts.surface.split.early_stop, drawn.table
    return {
        "labels": read_labels(table, rows.task),
        "fold": hold_out_users(user_or_request(table), share=share, salt="early stop"),
        "weights": weighed,
        "offsets": offset if offset.any() else None,
        "groups": _encode_requests(table) if rows.kind == "ranking" else None,
    }


def _find_features(
    rows: TaskRows, numbers: RowNumbers, encoder: FeatureEncoder
) -> StoredFeatures | ClusterFeatures:
    """Read and encode the features of some rows into a file, in the order of these rows.

    For training on a cluster the features are not read here.
    """
    source = rows.observed_rows(rows.slices.train)
    if (scheduler := rows.training.cluster) is not None:
        return ClusterFeatures(scheduler, source, encoder, numbers)
    order = None if (numbers[1:] > numbers[:-1]).all() else np.argsort(numbers)
    ascending = numbers if order is None else numbers[order]
    pieces = encode_pieces(encoder, source.stream_numbered(encoder.names, ascending))
    folder = scratch_folder(rows.workspace.home)
    stored = StoredFeatures.write(pieces, folder, width=len(encoder.names))
    return stored if order is None else stored.take(np.argsort(order))


def _sort_by_request(table: pa.Table) -> pa.Table:
    """Sort rows so that those of a request are contiguous, even if shown at different instants."""
    requests = _encode_requests(table)
    return table if (np.diff(requests) >= 0).all() else table.take(np.argsort(requests, kind="stable"))


def _encode_requests(table: pa.Table) -> Integers:
    """Return one code per row, by first appearance."""
    return np.asarray(pd.factorize(table.column(REQUEST_ID).to_pandas(), use_na_sentinel=False)[0], np.int64)


def _read_floats(table: pa.Table, column: str, asked_by: str) -> Floats:
    return read_numbers(table.select([column]).to_pandas(), column, asked_by)


def user_or_request(table: pa.Table) -> pa.ChunkedArray:
    """Return the unit of holding out: the user, or the request if the user is missing."""
    users = table.column(USER_ID)
    if not users.null_count:
        return users
    return pc.coalesce(users.cast(pa.string()), table.column(REQUEST_ID).cast(pa.string()))


def describe_sampling(rows: TaskRows) -> dict[str, Any]:
    """Return the weights and sampling of the task's examples, as flat parameters."""
    spec, sampling = _example_weights(rows), rows.spec.sampling
    flat = {
        f"weights.{name}": value for name, value in spec.model_dump(mode="json", exclude_none=True).items()
    }
    by = {
        f"negatives.{c}.{v}": rate
        for c, rates in (sampling.by if sampling else {}).items()
        for v, rate in rates.items()
    }
    return {"negatives": sampling.negatives if sampling else 1.0, **by, **flat}
