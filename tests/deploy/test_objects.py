import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.services import Web
from tests.stores.object_store import free_port

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore")


def start(port: int, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deploy.objects", str(port), str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not Web(f"http://127.0.0.1:{port}/moto-api/").answers():
        assert time.monotonic() < deadline, "the object store does not answer"
        time.sleep(0.1)
    return server


def client(port: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    keys = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests-secret"}
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **keys)


def test_objects_outlive_a_server_that_was_asked_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, folder = free_port(), tmp_path / "objects"
    store, server = client(port, monkeypatch), start(port, folder)
    try:
        store.create_bucket(Bucket="equipoise")
        for key, body in {"store/ds=2026-01-01/part.parquet": b"rows", "gone": b"old"}.items():
            store.put_object(Bucket="equipoise", Key=key, Body=body)
        store.delete_object(Bucket="equipoise", Key="gone")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
        assert (folder / "equipoise/store/ds=2026-01-01/part.parquet").read_bytes() == b"rows"
        server = start(port, folder)
        found = store.list_objects_v2(Bucket="equipoise")["Contents"]
        assert [(kept["Key"], kept["Size"]) for kept in found] == [("store/ds=2026-01-01/part.parquet", 4)]
    finally:
        server.kill()
        server.wait()
