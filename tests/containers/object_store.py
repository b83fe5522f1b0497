"""The object store of the test in place of MinIO and its client `mc`: moto, with accounts and their policies.

::

    (no word, or server)          serve; objects stay in /data from one start to the next, if it ends with SIGTERM
    ready | mb | admin ...        what docker-compose.yml and deploy/object_store/accounts.sh ask of `mc`

Each request is allowed or refused by the policy of the account that its key names; signatures are not checked.
"""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

DATA = Path("/data")
POLICIES = DATA / "policies"
STORE = s3_backends["123456789012"]["aws"]
ROOT = "equipoise"
OWN = "/accounts/"
Environment = dict[str, Any]


class Guard:
    """Lets a request through to moto where its account's policy allows it."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application
        kept = json.loads(POLICIES.read_text()) if POLICIES.exists() else {}
        self.policies: dict[str, list[dict[str, Any]]] = kept

    def __call__(self, environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        path = environment["PATH_INFO"]
        signed = environment.get("HTTP_AUTHORIZATION", "") + unquote(environment["QUERY_STRING"])
        key = re.search(r"Credential=([^/]+)/", signed)
        account = key[1] if key else environment.get("HTTP_X_ACCOUNT", "")
        if path.startswith(OWN) and account == ROOT:
            policy = json.loads(environment["wsgi.input"].read(int(environment["CONTENT_LENGTH"])))
            self.policies[path.removeprefix(OWN)] = policy["Statement"]
            POLICIES.write_text(json.dumps(self.policies))
            status = HTTPStatus.OK
        elif path.startswith("/moto-api/") or account == ROOT or self._allows(account, environment):
            return self.application(environment, start)
        else:
            sys.stderr.write(f"refused {account or 'nobody'}: {environment['REQUEST_METHOD']} {path}\n")
            status = HTTPStatus.FORBIDDEN
        start(f"{status.value} {status.phrase}", [("Content-Type", "application/xml")])
        return [b"" if status == HTTPStatus.OK else b"<Error><Code>AccessDenied</Code></Error>"]

    def _allows(self, account: str, environment: Environment) -> bool:
        statements = self.policies.get(account, [])
        for action, resource in _asked(environment):
            effects = {one["Effect"] for one in statements if _matches(one, action, resource)}
            if "Allow" not in effects or "Deny" in effects:
                return False
        return True


def _asked(environment: Environment) -> Iterator[tuple[str, str]]:
    """Yield each action and resource of a request."""
    method, query = (
        environment["REQUEST_METHOD"],
        parse_qs(environment["QUERY_STRING"], keep_blank_values=True),
    )
    bucket, _, key = unquote(environment["PATH_INFO"]).strip("/").partition("/")
    resource = f"arn:aws:s3:::{bucket}"
    if "delete" in query:
        body = environment["wsgi.input"].read(int(environment["CONTENT_LENGTH"]))
        environment["wsgi.input"] = BytesIO(body)
        yield from (
            ("s3:DeleteObject", f"{resource}/{name}")
            for name in re.findall("<Key>(.*?)</Key>", body.decode())
        )
    elif key:
        reads = method in {"GET", "HEAD"}
        yield (
            "s3:GetObject" if reads else "s3:DeleteObject" if method == "DELETE" else "s3:PutObject",
            f"{resource}/{key}",
        )
    else:
        yield "s3:ListBucket" if bucket and method in {"GET", "HEAD"} else "s3:Other", resource


def _matches(statement: dict[str, Any], action: str, resource: str) -> bool:
    return action in statement["Action"] and any(fnmatchcase(resource, one) for one in statement["Resource"])


def load() -> None:
    """Put what an earlier start wrote."""
    for listing in sorted(DATA.glob("*.json")):
        bucket = listing.stem
        STORE.create_bucket(bucket, "us-east-1")
        for number, key in enumerate(json.loads(listing.read_text())):
            STORE.put_object(bucket, key, (DATA / bucket / str(number)).read_bytes())


def save() -> None:
    """Write every bucket's objects, and the list of their keys last."""
    for name, bucket in STORE.buckets.items():
        (DATA / name).mkdir(exist_ok=True)
        keys = list(bucket.keys)
        for number, key in enumerate(keys):
            (DATA / name / str(number)).write_bytes(bucket.keys[key].value)
        (DATA / f"{name}.json").write_text(json.dumps(keys))


def serve() -> None:
    """Serve until SIGTERM."""
    load()
    application = Guard(DomainDispatcherApplication(create_backend_app))
    server = make_server("0.0.0.0", 9000, application, threaded=True)  # noqa: S104 - the network of the test
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    save()


def ask(words: list[str]) -> None:
    """Do what `mc` does with these words.

    Raises
    ------
    SystemExit
        The store refused.
    """
    address = urlsplit(os.environ.get("MC_HOST_store", "http://127.0.0.1:9000"))  # noqa: SIM112 - mc's own name
    url = f"http://{address.hostname}:{address.port}"
    headers = {"X-Account": address.username or ""}
    match words:
        case ["ready", "local"]:
            answer = requests.get(f"{url}/moto-api/", timeout=30)
        case ["mb", "--ignore-existing", target]:
            bucket = target.partition("/")[2]
            answer = requests.put(f"{url}/{bucket}", headers=headers, timeout=30)
        case ["admin", "policy", "create", "store", _, file]:
            name = Path(file).stem
            answer = requests.post(
                f"{url}{OWN}{name}", data=Path(file).read_bytes(), headers=headers, timeout=30
            )
        case ["admin", "user", "add", "store"]:
            name, password = sys.stdin.read().split()
            sys.exit(not (name and password))
        case ["admin", "policy", "attach", "store", policy, "--user", user]:
            sys.exit(policy != f"equipoise-{user}")
        case _:
            sys.exit(f"not a word of this mc: {words}")
    sys.exit(not answer.ok)


if __name__ == "__main__":
    if sys.argv[1:2] in ([], ["server"]):
        serve()
    else:
        ask(sys.argv[1:])
