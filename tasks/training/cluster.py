"""Trains trees on the workers of a Dask cluster with ``lightgbm.dask`` (the extra ``dask``).

::

    this process       outcomes, weights, offsets, categories: selects the rows to learn from
    each worker        reads the features of its days from the label store
    one of them        has the rows of the held-out users and measures their metric after each tree
    -> lightgbm.dask -> one booster, whose text contains no address, port or thread

Days are distributed over the workers by their rows. After each tree the worker with the held-out rows reports
in a queue of the cluster whether to continue, so that all workers stop at the same tree. LightGBM alone would
let every worker decide on its own rows, and wait for those that stopped.

LightGBM also waits forever for a worker that is lost. Therefore the training runs in a thread, while the
calling thread watches the workers and restarts them after a failure. The cluster runs one training at a time:
two that each hold threads of the other's workers would deadlock.

Data that are sent over the network are pickled by Dask; stored data are not.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from threading import Thread
from typing import Any, Final
from uuid import uuid4

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from lightgbm.callback import CallbackEnv, EarlyStopException

from tasks.arrays import Flags, Integers
from tasks.contracts import Contracts
from tasks.errors import StoreError, list_names
from tasks.ranking.features import FeatureEncoder
from tasks.stores.steps import CODE
from tasks.training.encoding import encode_pieces
from tasks.training.examples import ClusterFeatures, Examples, to_matrix
from tasks.training.rows import ObservedRows
from tasks.training.trainable import require_extra

LIBRARIES: Final = ("dask", "distributed")
_LOG: Final = logging.getLogger("equipoise")
_QUIET: Final = logging.getLogger("equipoise.lightgbm")
_QUIET.setLevel(logging.ERROR)
_LOCK: Final = "equipoise.training"
_ANSWERS: Final = "30s"
_STARTS: Final = "60s"
"""Time for a worker to start, for example after it was killed."""
_LOOK: Final = 1.0
"""Seconds between two checks of the workers."""
_NOTICED: Final = 10.0
"""Seconds until the scheduler notices that a worker is lost after its peers have noticed."""
_AGAIN: Final = "No model was registered: check the cluster's logs and memory, and run the step again."
_OF_A_CLUSTER: Final = {
    "machines": "",
    "num_machines": "1",
    "local_listen_port": "12400",
    "num_threads": "0",
    "tree_learner": "serial",
}
"""Parameters in a booster's text that depend on where it was trained, with LightGBM's default values."""
_FEATURES, _LABELS, _WEIGHTS, _SCORES = "features", "labels", "weights", "scores"
Arrays = Mapping[str, npt.NDArray[Any]]
Grown = tuple[lgb.Booster, int, float | None]
"""A booster, the number of trees to keep, and the metric of the held-out rows, if there are any."""


@dataclass(frozen=True)
class ClusterPlan:
    """Features, LightGBM settings and start booster of a training on a cluster.

    ``rounds``: maximum number of trees. ``patience``: trees without a lower held-out metric that end it.
    """

    features: ClusterFeatures
    settings: Mapping[str, Any]
    rounds: int
    patience: int
    start: lgb.Booster | None


@dataclass(frozen=True)
class _Share:
    """Part of the data for one worker: ascending row numbers by day, and the other columns of these rows."""

    worker: str
    days: tuple[tuple[date, Integers], ...]
    held: Flags
    known: Arrays


def require_dask(contracts: Contracts) -> None:
    """Refuse tasks that are trained on a cluster if Dask is not installed; imports nothing."""
    trained = contracts.tasks.trained
    if there := [task for task in trained if contracts.surface.training_for(task).cluster]:
        require_extra(f"{contracts.name} trains {list_names(there)} with engine: dask", "dask", LIBRARIES)


def grow_on_cluster(examples: Examples, growth: ClusterPlan) -> Grown:
    """Train trees on examples with the workers of a cluster.

    Raises
    ------
    StoreError
        The cluster does not answer, its workers run another version of this program, or a worker was lost.
    DataError
        The labels cannot be read.
    """
    lgb.register_logger(_QUIET)  # its default logger prints messages about ports to stdout
    with _connected(growth.features.scheduler) as (client, workers):
        shares = _share_days(examples, growth.features, workers)
        _LOG.info("train: %d workers of %s grow the trees", len(shares), growth.features.scheduler)
        stop = _StopTogether(f"equipoise-{uuid4().hex}", growth.patience)
        own_workers = {share.worker for share in shares}
        try:
            return _watched(client, own_workers, lambda: _grow(client, examples, shares, growth, stop))
        except BaseException:
            if stop.growing:
                _free(client, own_workers)
            raise
        finally:
            with suppress(OSError, TimeoutError, RuntimeError):
                stop.close(client)


@contextmanager
def _connected(scheduler: str) -> Iterator[tuple[Any, list[str]]]:
    """Yield a client of the cluster and the addresses of its workers, locked against other trainings."""
    from distributed import Client, Lock  # noqa: PLC0415 - the extra `dask`

    try:
        client = Client(scheduler, timeout=_ANSWERS, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise StoreError(
            f"No Dask scheduler answers at {scheduler} within {_ANSWERS}: {error or 'timeout'}. Start the "
            "cluster, or change scheduler in surface.yaml, and run the step again."
        ) from error
    with client, client.as_current(), Lock(_LOCK):
        _require_same_code(client)
        yield client, sorted(client.nthreads())


def _require_same_code(client: Any) -> None:
    """Refuse workers that run another version of this program."""
    with suppress(TimeoutError):
        client.wait_for_workers(1, timeout=_STARTS)
    try:
        found = client.run(_code_digest)
    except (ImportError, AttributeError) as error:
        raise StoreError(
            f"The workers of {client.scheduler.address} cannot load this program: {error}. Install the same "
            "version of it there, with the extra `dask`."
        ) from error
    if not found:
        raise StoreError(f"The Dask cluster at {client.scheduler.address} has no worker. Start some.")
    if other := sorted(worker for worker, code in found.items() if code != _code_digest()):
        raise StoreError(
            f"The workers {list_names(other)} have another version of this program, LightGBM or numpy. "
            "Install the one of this machine there."
        )


def _code_digest() -> str:
    return CODE.digest("training")


def _share_days(examples: Examples, features: ClusterFeatures, workers: Sequence[str]) -> list[_Share]:
    """Assign days to workers, largest first, each to the worker with the fewest rows.

    A worker's days spread over all train days, because LightGBM bins a feature on one worker's rows.
    """
    order, counts = np.argsort(features.numbers, kind="stable"), features.source.count_by_day()
    ends = np.cumsum(list(counts.values()))
    bounds = np.searchsorted(features.numbers[order], ends)
    of_day = dict(zip(counts, np.split(order, bounds[:-1]), strict=True))
    begins = dict(zip(counts, ends - list(counts.values()), strict=True))
    learned = {day: int(np.count_nonzero(~examples.held_out[rows])) for day, rows in of_day.items()}
    days = [day for day, rows in of_day.items() if len(rows)]
    dealt: dict[str, list[date]] = {worker: [] for worker in workers[: sum(map(bool, learned.values()))]}
    for day in sorted(days, key=lambda day: -learned[day]):
        dealt[min(dealt, key=lambda worker: sum(learned[of] for of in dealt[worker]))].append(day)
    columns = {_LABELS: examples.labels, _WEIGHTS: examples.weights, _SCORES: examples.offsets}
    shares = []
    for worker, own in dealt.items():
        rows = np.concatenate([of_day[day] for day in sorted(own)])
        numbers = tuple((day, features.numbers[of_day[day]] - begins[day]) for day in sorted(own))
        known = {name: values[rows] for name, values in columns.items() if values is not None}
        shares.append(_Share(worker, numbers, examples.held_out[rows], known))
    return shares


def _grow(
    client: Any, examples: Examples, shares: Sequence[_Share], growth: ClusterPlan, stop: "_StopTogether"
) -> Grown:
    """Let the workers read and train; runs in a thread that may outlive the client."""
    from lightgbm.dask import DaskLGBMRegressor  # noqa: PLC0415 - fits every loss: labels are not recoded

    with client.as_current():
        text = None if growth.start is None else growth.start.model_to_string()
        train, fold = _read(client, examples, growth.features, shares, text)
        own = {name: value for name, value in growth.settings.items() if name != "num_threads"}
        model = DaskLGBMRegressor(client=client, n_estimators=growth.rounds, tree_learner="data", **own)
        held_out = (
            {
                "eval_X": fold[_FEATURES],
                "eval_y": fold[_LABELS],
                "eval_names": ["fold"],
                "eval_sample_weight": [fold[_WEIGHTS]] if _WEIGHTS in fold else None,
                "eval_init_score": [fold[_SCORES]] if _SCORES in fold else None,
                "callbacks": [stop],
            }
            if fold
            else {}
        )
        stop.growing = True
        model.fit(
            train[_FEATURES],
            train[_LABELS],
            sample_weight=train.get(_WEIGHTS),
            init_score=train.get(_SCORES),
            feature_name=list(examples.names),
            categorical_feature=[examples.names.index(name) for name in examples.categorical],
            **held_out,
        )
        grown = model.booster_
        kept, value = stop.found(client) if fold else (grown.current_iteration(), None)
    text = grown.model_to_string(num_iteration=kept)
    for name, usual in _OF_A_CLUSTER.items():
        text = re.sub(rf"^\[{name}: .*\]$", f"[{name}: {usual}]", text, flags=re.MULTILINE)
    return lgb.Booster(model_str=text), kept, value


def _read(
    client: Any, examples: Examples, features: ClusterFeatures, shares: Sequence[_Share], start: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return Dask arrays of the training rows, one piece per worker, and of the held-out rows."""
    from distributed import wait as wait_for  # noqa: PLC0415 - the extra `dask`

    names = dict.fromkeys([_FEATURES, *shares[0].known, *([] if start is None else [_SCORES])])
    reads = []
    for share in shares:
        at: dict[str, Any] = {"workers": [share.worker], "pure": False}
        sent = client.scatter(share, workers=[share.worker], hash=False)
        read = client.submit(_read_share, sent, features.source, features.encoder, start, **at)
        reads.append((read, at))
    wait_for([read for read, _ in reads])
    for read in (read for read, _ in reads if read.status == "error"):
        read.result()  # raises the worker's error

    def pieces(side: int, name: str) -> list[Any]:
        return [client.submit(_pick, read, side, name, **at) for read, at in reads]

    def arrays(futures: Sequence[Any], lengths: Sequence[int], name: str) -> Any:
        import dask.array as da  # noqa: PLC0415 - the extra `dask`
        from dask import delayed  # noqa: PLC0415

        width = (len(examples.names),) if name == _FEATURES else ()
        shapes = [(rows, *width) for rows in lengths]
        parts = zip(map(delayed, futures), shapes, strict=True)
        return da.concatenate([da.from_delayed(part, shape, np.float64) for part, shape in parts])

    lengths = [int(np.count_nonzero(~share.held)) for share in shares]
    train = {name: arrays(pieces(0, name), lengths, name) for name in names}
    if not (whole := int(examples.held_out.sum())):
        return train, {}
    held = {name: client.submit(_concatenate, *pieces(1, name), **reads[0][1]) for name in names}
    return train, {name: arrays([of], [whole], name) for name, of in held.items()}


def _read_share(
    share: _Share, source: ObservedRows, encoder: FeatureEncoder, start: str | None
) -> list[dict[str, npt.NDArray[Any]]]:
    """Read a worker's days from the label store; return the training rows and the held-out rows."""
    pieces = [
        to_matrix(piece)
        for day, numbers in share.days
        for piece in encode_pieces(encoder, source.of_day(day).stream_numbered(encoder.names, numbers))
    ]
    arrays = {_FEATURES: np.concatenate(pieces), **share.known}
    if start is not None:
        raw = lgb.Booster(model_str=start).predict(arrays[_FEATURES], raw_score=True)
        arrays[_SCORES] = arrays.get(_SCORES, 0.0) + raw
    return [{name: values[rows] for name, values in arrays.items()} for rows in (~share.held, share.held)]


def _pick(read: Sequence[Arrays], side: int, name: str) -> npt.NDArray[Any]:
    return read[side][name]


def _concatenate(*arrays: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate(arrays)


class _StopTogether:
    """Callback: the worker with the held-out rows reports in a queue after each tree whether to continue."""

    order = 30
    before_iteration = False

    def __init__(self, queue: str, patience: int) -> None:
        self.queue, self.growing = queue, False
        self._stopping = lgb.early_stopping(patience, verbose=False)

    def __call__(self, env: CallbackEnv) -> None:
        """Stop when the worker with the held-out rows stops."""
        from distributed import Queue  # noqa: PLC0415 - the extra `dask`

        queue = Queue(self.queue)
        if not env.evaluation_result_list:
            if (said := queue.get()) is not None:
                raise EarlyStopException(said[0], [])
            return
        others = int(env.params["num_machines"]) - 1
        try:
            self._stopping(env)
        except EarlyStopException as stopped:
            for _ in range(others + 1):  # one item is for the process that started the training
                queue.put([stopped.best_iteration, float(stopped.best_score[0][2])])
            raise
        for _ in range(others):
            queue.put(None)

    def found(self, client: Any) -> tuple[int, float]:
        """Return the number of trees to keep, and the metric of the held-out rows after them."""
        from distributed import Queue  # noqa: PLC0415 - the extra `dask`

        queue = Queue(self.queue, client=client)
        best, value = queue.get(timeout=_ANSWERS)
        return best + 1, value

    def close(self, client: Any) -> None:
        """Delete the queue."""
        from distributed import Queue  # noqa: PLC0415 - the extra `dask`

        Queue(self.queue, client=client).close()


def _free(client: Any, workers: set[str]) -> None:
    """Restart workers that wait within LightGBM for a lost worker; nothing else ends the wait."""
    with suppress(OSError, TimeoutError, RuntimeError, ValueError):
        present = sorted(workers & set(client.nthreads()))
        client.restart_workers(present, timeout=_STARTS, raise_for_error=False)


def _watched(client: Any, workers: set[str], work: Callable[[], Grown]) -> Grown:
    """Run work in a thread, and stop waiting for it if a worker is lost."""
    done: Future[Grown] = Future()

    def settle() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - passed to the waiting thread
            done.set_exception(error)

    Thread(target=settle, daemon=True, name="equipoise-dask").start()
    while not wait([done], timeout=_LOOK).done:
        _require_present(client, workers)
    error = done.exception()
    if error is None or not _is_of_network(error):
        return done.result()
    until = time.monotonic() + _NOTICED
    while time.monotonic() < until:
        _require_present(client, workers)
        time.sleep(_LOOK)
    raise StoreError(f"{_broken(client)}: {error}. {_AGAIN}") from error


def _require_present(client: Any, workers: set[str]) -> None:
    try:
        gone = workers - set(client.nthreads())
    except (OSError, TimeoutError, RuntimeError) as error:
        raise StoreError(f"{_broken(client)}: its scheduler does not answer. {_AGAIN}") from error
    if gone:
        raise StoreError(f"{_broken(client)}: worker {list_names(sorted(gone))} left. {_AGAIN}")


def _broken(client: Any) -> str:
    return f"The training on the Dask cluster at {client.scheduler.address} ended early"


def _is_of_network(error: BaseException) -> bool:
    """Whether an error may be caused by a lost worker or scheduler."""
    from distributed import KilledWorker  # noqa: PLC0415 - the extra `dask`

    lost = isinstance(error, lgb.basic.LightGBMError) and re.search(r"[Ss]ocket|machine|rank \d", str(error))
    return bool(lost) or isinstance(error, OSError | TimeoutError | CancelledError | KilledWorker)
