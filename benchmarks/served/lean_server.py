"""A release behind the shortest way from a request to its kernel, for ``benchmarks.serving``.

``python -m benchmarks.served.lean_server FOLDER PORT`` takes a JSON object of columns and gives one. It
checks neither names nor types before the kernel does, keeps no log and never loads another release.
"""

import sys
from pathlib import Path

import msgspec
import pandas as pd
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from tasks.release.loading import LoadedRelease, load_release


def score(release: LoadedRelease, body: bytes) -> bytes:
    """Score the candidates of a body."""
    scored = release.score(pd.DataFrame(msgspec.json.decode(body)))
    columns = {str(name): scored[name] for name in scored}
    holed = {name: column.astype(object).where(column.notna(), None) for name, column in columns.items()}
    return msgspec.json.encode({name: column.tolist() for name, column in holed.items()})


def application(release: LoadedRelease) -> FastAPI:
    """Return the server's one route."""
    app = FastAPI()

    @app.post("/score")
    async def answer(request: Request) -> Response:
        content = await run_in_threadpool(score, release, await request.body())
        return Response(content, media_type="application/json")

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(load_release(Path(sys.argv[1]))),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_level="warning",
    )
