"""A release as `equipoise serve` serves it, without a home: ``python -m benchmarks.served.limited_server``.

``FOLDER PORT CALLS``: the release's folder, the port, and the most calls at a time.
"""

import sys
from pathlib import Path

import uvicorn
from mlflow.pyfunc import scoring_server

from tasks.release.loading import load_release
from tasks.release.serve import LimitedServer

if __name__ == "__main__":
    application = scoring_server.init(load_release(Path(sys.argv[1])).pyfunc)
    server = LimitedServer(application, 1, max_bytes=64_000_000, max_calls=int(sys.argv[3]))
    uvicorn.run(server, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
