"""`python -m deploy.objects PORT FOLDER`: moto's S3 server, whose objects outlive it.

::

    start      every file below the folder becomes an object
    running    objects are in memory
    SIGTERM    every object becomes a file below the folder again: <bucket>/<key>

It stands in the place of an object store on a machine that has none, for trying things out: a server that is
killed loses what was put since its start.
"""

import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from deploy.layout import HOST

_REGION = "us-east-1"


def main(words: list[str]) -> int:
    """Serve until asked to end."""
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    port, folder = int(words[0]), Path(words[1])
    backend = s3_backends["123456789012"]["aws"]
    _load(backend, folder)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    server = ThreadedMotoServer(HOST, port, verbose=False)
    server.start()
    ending.wait()
    server.stop()
    _keep(backend, folder)
    return 0


def _load(backend: Any, folder: Path) -> None:
    for bucket in sorted(folder.glob("*")):
        backend.create_bucket(bucket.name, _REGION)
        for file in sorted(path for path in bucket.rglob("*") if path.is_file()):
            backend.put_object(bucket.name, file.relative_to(bucket).as_posix(), file.read_bytes())


def _keep(backend: Any, folder: Path) -> None:
    """Write every object; the folder is the old one or the new one, never half of it."""
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, bucket in backend.buckets.items():
        (draft / name).mkdir()
        for key, stored in bucket.keys.items():
            file = draft / name / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(stored.value)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
