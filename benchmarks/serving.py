"""How fast releases are served over HTTP, and what happens above capacity: ``python -m benchmarks.serving``.

``mlflow models serve`` scores requests of candidates with 60 features, by four models of 300 trees, into a
slate of 20. Clients keep their connection and ask again as soon as they are answered. Printed are:

::

    load      milliseconds, requests a second and memory by candidates and worker processes
    lean      the same release behind FastAPI and msgspec, by MLflow's contract (rows, types checked), and by
              the shortest way to its kernel (columns, no check): a server of our own is worth its upkeep
              where it is ``WORTH`` times better by the same contract
    capacity  four times as many clients as calls that `equipoise serve` allows at a time

"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from benchmarks.scoring import TASKS, candidates, learned
from tasks.ranking.scoring import Scorer
from tasks.release.packaging import package_release, release_signature
from tasks.stores.files import write_files
from tasks.stores.manifest import Manifest, PinnedSnapshot

WORTH = 2.0
CLIENTS = 8
PORT = "<port>"
"""Stands in a command for the port."""
LEARNED_FROM = 20_000
_HOST = "127.0.0.1"


class Refused(RuntimeError):
    """The server answers as many calls as it may."""


@dataclass(frozen=True)
class Server:
    """Where a request goes, and its bytes."""

    port: int
    pid: int
    path: str = "/invocations"
    body: bytes = b""

    def asking(self, frame: pd.DataFrame) -> "Server":
        """Return the server with the body of a request as MLflow takes it."""
        rows = {"columns": [*frame.columns], "data": frame.astype(object).to_numpy().tolist()}
        return replace(self, body=json.dumps({"dataframe_split": rows}).encode())

    def memory(self, workers: int) -> float:
        """Return the MB of a process that answers: of the largest ones, as many as there are workers."""
        own = psutil.Process(self.pid)
        sizes = sorted(one.memory_info().rss for one in (own, *own.children(recursive=True)))
        return float(np.mean(sizes[-workers:])) / 1e6

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection that is kept."""
        return http.client.HTTPConnection(_HOST, self.port, timeout=120)

    def ask(self, connection: http.client.HTTPConnection) -> bytes:
        """Ask once and read the whole answer."""
        connection.request("POST", self.path, self.body, {"content-type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            raise Refused
        if answer.status != http.client.OK:
            raise RuntimeError(read.decode())
        return read


@dataclass(frozen=True)
class Load:
    """What a number of clients saw: milliseconds at three quantiles, calls a second, and calls refused."""

    p50: float
    p95: float
    p99: float
    throughput: float
    refused: int


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--requests", type=int, default=200, help="of each server at each number of clients")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="equipoise-serving-") as folder:
        scratch = Path(folder)
        write_release(scratch / "release", trees=asked.trees)
        print("| workers | candidates | p50 ms | p95 ms | p99 ms | requests/s | MB a worker |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for workers in asked.workers:
            with started(scratch, mlflow_words(scratch, workers)) as server:
                for count in asked.candidates:
                    load = measure(server.asking(frame_of(count)), CLIENTS, asked.requests)
                    times = f"{load.p50:.0f} | {load.p95:.0f} | {load.p99:.0f} | {load.throughput:.1f}"
                    print(f"| {workers} | {count} | {times} | {server.memory(workers):.0f} |", flush=True)
        compare_lean(scratch, frame_of(200), asked.requests)
        exceed(scratch, frame_of(200), asked.requests)


def compare_lean(scratch: Path, frame: pd.DataFrame, requests: int) -> None:
    """Print how much better the lean server is, both up while either is asked."""
    lean = [sys.executable, "-m", "benchmarks.served.lean_server", str(scratch / "release"), PORT]
    columns = json.dumps({str(name): frame[name].tolist() for name in frame}).encode()
    print("\n| clients | server | median time | throughput | worth it |\n| --- | --- | --- | --- | --- |")
    with started(scratch, lean) as ours, started(scratch, mlflow_words(scratch, 1)) as theirs:
        by_contract, unchecked = ours.asking(frame), replace(ours, path="/score", body=columns)
        for clients in (1, CLIENTS, 4 * CLIENTS):
            one = measure(theirs.asking(frame), clients, requests)
            for name, lean_one in (("same contract", by_contract), ("no check", unchecked)):
                other = measure(lean_one, clients, requests)
                ratios = f"{one.p50 / other.p50:.2f} times shorter | {other.throughput / one.throughput:.2f}"
                print(f"| {clients} | {name} | {ratios} times | {WORTH} times |", flush=True)


def exceed(scratch: Path, frame: pd.DataFrame, requests: int) -> None:
    """Print what clients see beyond the calls that are allowed, with and without a limit."""
    print("\n| 32 clients | answered/s | p99 ms | refused |\n| --- | --- | --- | --- |")
    for words, most in (("at most 8 calls", 8), ("without a limit", 1_000)):
        limited = [sys.executable, "-m", "benchmarks.served.limited_server", str(scratch / "release")]
        with started(scratch, [*limited, PORT, str(most)]) as server:
            load = measure(server.asking(frame), 4 * CLIENTS, 4 * requests)
            print(f"| {words} | {load.throughput:.1f} | {load.p99:.0f} | {load.refused} |", flush=True)


def measure(server: Server, clients: int, requests: int) -> Load:
    """Ask from so many clients at once, after a request that is not counted."""
    server.ask(server.connect())

    def one(_: int) -> tuple[list[float], int]:
        connection, seconds, refused = server.connect(), list[float](), 0
        while len(seconds) + refused < requests // clients:
            began = time.perf_counter()
            try:
                server.ask(connection)
            except Refused:
                refused += 1
                connection = server.connect()
                time.sleep(0.05)
            else:
                seconds.append(time.perf_counter() - began)
        connection.close()
        return seconds, refused

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = [*pool.map(one, range(clients))]
    elapsed = time.perf_counter() - began
    seconds = np.concatenate([own for own, _ in found])
    p50, p95, p99 = (float(1_000 * q) for q in np.quantile(seconds, (0.5, 0.95, 0.99)))
    return Load(p50, p95, p99, len(seconds) / elapsed, sum(refused for _, refused in found))


def frame_of(count: int) -> pd.DataFrame:
    """Return the candidates of one request."""
    return candidates(count).assign(request_id="r")


def mlflow_words(scratch: Path, workers: int) -> list[str]:
    """Return the command of MLflow's server."""
    mlflow, release = str(Path(sys.executable).with_name("mlflow")), str(scratch / "release")
    where = ["-h", _HOST, "-p", PORT, "--workers", str(workers)]
    return [mlflow, "models", "serve", "-m", release, "--env-manager", "local", *where]


@contextmanager
def started(scratch: Path, words: Sequence[str]) -> Iterator[Server]:
    """Start a server at a free port and stop it at the end."""
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port = free.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = [str(port) if word == PORT else word for word in words]
    with (scratch / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            own, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        server = Server(port, process.pid)
        _wait(server, process, scratch / f"{port}.log")
        yield server
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while process.poll() is None:
        try:
            server.connect().connect()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(log.read_text(encoding="utf-8"))


def write_release(folder: Path, *, trees: int) -> None:
    """Write a release of learned heads as MLflow loads it."""
    frame = candidates(LEARNED_FROM)
    heads = learned(frame, trees=trees, threads=1).heads
    plan = [{"task": task, "kind": head.kind, "parent": head.parent} for task, head in heads.items()]
    weights = dict(zip(TASKS, (1.0, 20.0, -5.0, -3.0), strict=True))
    plain: dict[str, object] = {
        "heads.json": {"heads": plan},
        "utility.json": {
            "policy": "p",
            "version": 1,
            "owner": "o",
            "approvals": ["o"],
            "weights": weights,
        },
        "slate.json": {"policy": "s", "version": 1, "length": 20},
        **{f"encoders/{task}.json": head.encoder.to_json() for task, head in heads.items()},
        **{
            f"calibrators/{task}.json": head.calibrator.to_json()
            for task, head in heads.items()
            if head.calibrator
        },
    }
    files = {path: json.dumps(content).encode() for path, content in plain.items()}
    files |= {f"models/{task}.txt": head.booster.model_to_string().encode() for task, head in heads.items()}
    scorer, day, instant = Scorer.from_files(files), date(2026, 1, 1), datetime(2026, 1, 2, tzinfo=UTC)
    signature = release_signature(frame[[*scorer.columns]], scorer.score(frame.head(0)))
    snapshot = PinnedSnapshot("0" * 16, "a" * 64, "b" * 64, instant)
    manifest = Manifest("bench", instant, snapshot, {}, (day, day), (), {}, {})
    write_files(folder, package_release(files, manifest, signature=signature)[0])


if __name__ == "__main__":
    main()
