"""A release behind the shortest way from a request to its kernel, for ``benchmarks.serving``.

``python -m benchmarks.served.lean_server FOLDER PORT``. ``/score`` takes a JSON object of columns and gives
one: it checks neither names nor types before the kernel does. ``/invocations`` takes and gives what MLflow's
server does, its signature enforced. Neither keeps a log or loads another release.
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
    return msgspec.json.encode(_columns(scored))


def invoke(release: LoadedRelease, body: bytes) -> bytes:
    """Score the rows of a body as MLflow's server does."""
    split = msgspec.json.decode(body)["dataframe_split"]
    scored = _columns(release.pyfunc.predict(pd.DataFrame(split["data"], columns=split["columns"])))
    rows = [dict(zip(scored, row, strict=True)) for row in zip(*scored.values(), strict=True)]
    return msgspec.json.encode({"predictions": rows})


def _columns(scored: pd.DataFrame) -> dict[str, list[object]]:
    columns = {str(name): scored[name] for name in scored}
    holed = {name: column.astype(object).where(column.notna(), None) for name, column in columns.items()}
    return {name: column.tolist() for name, column in holed.items()}


def application(release: LoadedRelease) -> FastAPI:
    """Return the server's two routes."""
    app = FastAPI()

    @app.post("/{route}")
    async def answer(route: str, request: Request) -> Response:
        how = {"score": score, "invocations": invoke}[route]
        content = await run_in_threadpool(how, release, await request.body())
        return Response(content, media_type="application/json")

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(load_release(Path(sys.argv[1]))),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_level="warning",
    )
