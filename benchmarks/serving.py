"""`mlflow models serve` against a lean server over the same kernel: ``python -m benchmarks.serving``.

Both score requests of 200 candidates with 60 features, by four models of 300 trees, into a slate of 20; each
has one process, and both are up while either is asked. MLflow's takes its ``dataframe_split`` and gives rows;
the lean one (FastAPI, msgspec, no check of types) takes columns and gives columns, so what it saves is more
than a server of our own would. Clients keep their connection and ask again as soon as they are answered. A
server of our own is worth its upkeep where it is ``WORTH`` times better.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.scoring import TASKS, candidates, learned
from tasks.ranking.scoring import Scorer
from tasks.release.packaging import package_release
from tasks.release.signature import release_signature
from tasks.stores.manifest import Manifest, PinnedSnapshot
from tasks.stores.parts import write_files

WORTH = 3.0
CLIENTS = (1, 8, 32)
LEARNED_FROM = 20_000
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """Where a request goes, and its bytes."""

    port: int
    path: str
    body: bytes

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection that is kept."""
        return http.client.HTTPConnection(_HOST, self.port, timeout=120)

    def ask(self, connection: http.client.HTTPConnection) -> bytes:
        """Ask once and read the whole answer."""
        connection.request("POST", self.path, self.body, {"content-type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(read.decode())
        return read


@dataclass(frozen=True)
class Load:
    """What a number of clients saw: milliseconds at two quantiles, and requests a second."""

    p50: float
    p99: float
    throughput: float


def main() -> None:
    """Print both servers' times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--requests", type=int, default=200, help="of each server at each number of clients")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="equipoise-serving-") as scratch, ExitStack() as running:
        frame = candidates(asked.candidates).assign(request_id="r")
        write_release(Path(scratch) / "release", trees=asked.trees)
        ours, theirs = (
            running.enter_context(started(Path(scratch), frame, lean=lean)) for lean in (True, False)
        )
        print(f"serving: {asked.candidates} candidates a request, {len(TASKS)} models of {asked.trees} trees")
        print("  clients  server               p50 ms    p99 ms  requests/s")
        for clients in CLIENTS:
            one, other = (measure(server, clients, asked.requests) for server in (theirs, ours))
            for name, load in (("mlflow models serve", one), ("lean", other)):
                print(f"  {clients:7}  {name:<19}{load.p50:8.1f}  {load.p99:8.1f}  {load.throughput:10.1f}")
            more, sooner = other.throughput / one.throughput, one.p99 / other.p99
            print(f"  {clients:7}  lean is better{'':13}{sooner:8.2f}x {more:10.2f}x (worth it: {WORTH}x)")


def measure(server: Server, clients: int, requests: int) -> Load:
    """Ask from so many clients at once, after a request of each that is not counted."""

    def one(_: int) -> list[float]:
        connection, seconds = server.connect(), []
        server.ask(connection)
        for _ in range(requests // clients):
            began = time.perf_counter()
            server.ask(connection)
            seconds.append(time.perf_counter() - began)
        connection.close()
        return seconds

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = np.concatenate([*pool.map(one, range(clients))])
    elapsed = time.perf_counter() - began
    p50, p99 = 1_000 * np.quantile(seconds, (0.5, 0.99))
    return Load(float(p50), float(p99), (len(seconds) + clients) / elapsed)


@contextmanager
def started(scratch: Path, frame: pd.DataFrame, *, lean: bool) -> Iterator[Server]:
    """Start a server and stop it at the end."""
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port = free.getsockname()[1]
    release = str(scratch / "release")
    if lean:
        words = [sys.executable, "-m", "benchmarks.served.lean_server", release, str(port)]
        columns = {str(name): frame[name].tolist() for name in frame}
        server = Server(port, "/score", json.dumps(columns).encode())
    else:
        mlflow = str(Path(sys.executable).with_name("mlflow"))
        words = [
            mlflow,
            "models",
            "serve",
            "-m",
            release,
            "--env-manager",
            "local",
            "-h",
            _HOST,
            "-p",
            str(port),
        ]
        rows = {"columns": [*frame.columns], "data": frame.astype(object).to_numpy().tolist()}
        server = Server(port, "/invocations", json.dumps({"dataframe_split": rows}).encode())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (scratch / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            words, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(server, process, scratch / f"{port}.log")
        yield server
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while process.poll() is None:
        try:
            server.ask(server.connect())
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
        "utility.json": {"policy": "p", "version": 1, "weights": weights},
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
    write_files(folder, package_release(files, manifest, signature=signature).files)


if __name__ == "__main__":
    main()
