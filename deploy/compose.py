"""`python -m deploy.compose file | env`: docker-compose.yml, and `.env` with the secrets it asks for.

The project's own services are those of `production.py`. What Compose brings as images, where debian.py starts
programs of this machine, is described here.
"""

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy import production
from deploy.airflow_parts import Site
from deploy.credentials import ACCOUNT, ensure_secrets, secret_names, write_private
from deploy.layout import HOST
from deploy.production import Places
from deploy.services import Asked, Ended, Service, Web
from tasks.settings import REPOSITORY

FILE = REPOSITORY / "docker-compose.yml"
HEADER = """\
# Equipoise with PostgreSQL, Redis, an object store, Airflow on Celery and MLflow with logins.
#
#   .venv/bin/python -m deploy.compose env      writes .env: a random secret for each ${...} below
#   docker compose up --build --detach
#
# `make compose` writes this file: change deploy/production.py or deploy/compose.py, not the file.
# Without Docker, `make up PROFILE=production` starts the same services of the project's own image.
#
# Any S3 with conditional puts will do: then take `object-store` out of compose.py and name the other store by
# the AWS_ variables of production.py.

"""
PLACES = Places(
    airflow=Site(
        python="python",
        repository="/opt/equipoise",
        home="/var/lib/equipoise",
        listen="0.0.0.0",  # noqa: S104 - inside a container; Compose opens it to this machine alone
        port=8080,
        url="http://api-server:8080",
        page="http://127.0.0.1:8080",
    ),
    surfaces="/opt/equipoise/surfaces",
    postgres_host="postgres",
    postgres_port=5432,
    redis="redis:6379",
    objects="http://object-store:9000",
    mlflow="http://mlflow:5000",
    mlflow_port=5000,
    mlflow_page="http://127.0.0.1:5000",
)
Block = tuple[Mapping[str, str], Any]
"""Variables, and what stands for them in the file."""
SECRETS = {name: f"${{{name}:?}}" for name in secret_names()}
"""Every secret, as Compose takes it from `.env`; it refuses to start without."""

_OFTEN = {"interval": "10s", "timeout": "10s", "retries": 12, "start_period": "60s"}
_SELDOM = {"interval": "60s", "timeout": "60s", "retries": 3, "start_period": "120s"}
"""For a command that takes seconds itself."""
_REDIS = f"""\
bind *
dir /data
appendonly yes
requirepass {SECRETS["REDIS_PASSWORD"]}
"""
_PORTS = {"api-server": [f"{HOST}:8080:8080"], "mlflow": [f"{HOST}:5000:5000"]}


def compose_file() -> str:
    """Return the text of docker-compose.yml."""
    text = yaml.dump(_document(), Dumper=_Dumper, sort_keys=False, width=110)
    return HEADER + re.sub(r"\n(?=[a-z])|(?<!:)\n(?=  [a-z-]+:\n    )", "\n\n", text)


def write_file() -> int:
    """Write docker-compose.yml."""
    FILE.write_text(compose_file(), encoding="utf-8")
    return 0


def write_env() -> int:
    """Write `.env`, unless there is one: its secrets are those of the volumes."""
    file = Path(".env").absolute()
    if file.exists():
        print(f"{file} is there already, and the volumes were made with its secrets: nothing was written")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        secrets = ensure_secrets(Path(folder))
    write_private(file, "".join(f"{name}={value}\n" for name, value in secrets.items()))
    print(f"wrote {file}: keep it, and keep it from others")
    return 0


def _document() -> dict[str, Any]:
    """Return the content; values of ``x-`` keys are referred to elsewhere, by these names."""
    shared = production.shared_environment(PLACES, SECRETS)
    steps = production.environment(PLACES, SECRETS)
    steps_block = _merge(shared, steps, shared)
    image = {
        "image": "equipoise:0.1.0",
        "build": ".",
        "restart": "unless-stopped",
        "volumes": [f"state:{PLACES.airflow.home}"],
    }
    return {
        "name": "equipoise",
        "x-image": image,
        "x-shared": shared,
        "x-steps": steps_block,
        "x-often": _OFTEN,
        "services": {**_images(), **_own_services(image, (steps, steps_block), (shared, shared))},
        "configs": {"redis": {"content": _REDIS}},
        "volumes": dict.fromkeys(("state", "postgres", "redis", "objects")),
    }


def _own_services(image: Any, *blocks: Block) -> dict[str, Any]:
    """Describe the services of the project's own image."""
    services = production.describe_services(PLACES, SECRETS)
    jobs = {service.name for service in services if service.is_job}
    conditions = {True: "service_completed_successfully", False: "service_healthy"}
    return {
        service.name: {
            _MERGE: image,
            **({"restart": "no"} if service.is_job else {}),
            "command": list(service.command),
            "environment": _environment(service.environment, *blocks),
            "depends_on": {name: {"condition": conditions[name in jobs]} for name in service.after},
            **({"ports": _PORTS[service.name]} if service.name in _PORTS else {}),
            **_healthcheck(service),
        }
        for service in services
    }


def _images() -> dict[str, Any]:
    """Describe what is not ours; `production.INFRASTRUCTURE` has the names."""
    return {
        "postgres": {
            "image": "postgres:17",
            "restart": "unless-stopped",
            "environment": {"POSTGRES_USER": ACCOUNT, "POSTGRES_PASSWORD": SECRETS["POSTGRES_PASSWORD"]},
            "volumes": ["postgres:/var/lib/postgresql/data"],
            "healthcheck": _asked("pg_isready", "--username", ACCOUNT, "--quiet"),
        },
        "redis": {
            "image": "redis:8",
            "restart": "unless-stopped",
            "command": ["redis-server", "/etc/redis.conf"],
            "environment": {"REDISCLI_AUTH": SECRETS["REDIS_PASSWORD"]},
            "configs": [{"source": "redis", "target": "/etc/redis.conf"}],
            "volumes": ["redis:/data"],
            "healthcheck": _asked("redis-cli", "-e", "ping"),
        },
        "object-store": {
            "image": "minio/minio:RELEASE.2025-09-07T16-13-09Z",
            "restart": "unless-stopped",
            "command": ["server", "/data"],
            "environment": {
                "MINIO_ROOT_USER": ACCOUNT,
                "MINIO_ROOT_PASSWORD": SECRETS["OBJECT_STORE_PASSWORD"],
            },
            "volumes": ["objects:/data"],
            "healthcheck": _asked("mc", "ready", "local"),
        },
    }


def _environment(variables: Mapping[str, str], *blocks: Block) -> Any:
    """Refer to the first block that these variables contain."""
    for content, block in blocks:
        if content.items() <= variables.items():
            return _merge(block, variables, content) if len(variables) > len(content) else block
    return dict(variables)


def _merge(block: Any, variables: Mapping[str, str], content: Mapping[str, str]) -> dict[str, Any]:
    """Refer to a block for its content and write out the other variables."""
    return {_MERGE: block, **{name: value for name, value in variables.items() if name not in content}}


def _healthcheck(service: Service) -> dict[str, Any]:
    match service.ready:
        case Web(url, part):
            probe = (PLACES.airflow.python, "-m", "deploy.healthcheck", url, *filter(None, [part]))
            return {"healthcheck": _asked(*probe)}
        case Asked(command):
            return {"healthcheck": {"test": ["CMD", *command], **_SELDOM}}
        case Ended():
            return {}


def _asked(*command: str) -> dict[str, Any]:
    return {_MERGE: _OFTEN, "test": ["CMD", *command]}


class _Key(str):
    """The merge key of YAML."""

    __slots__ = ()


_MERGE = _Key("<<")


class _Dumper(yaml.SafeDumper):
    """Writes lists on one line and text of several lines as such; refers to values by their keys."""

    def serialize(self, node: yaml.Node) -> None:
        """Write the document, a mapping."""
        self.names = {id(value): key.value.removeprefix("x-") for key, value in node.value}
        super().serialize(node)

    def generate_anchor(self, node: yaml.Node) -> str:
        """Return the name of a value that is referred to."""
        return self.names[id(node)]


_Dumper.add_representer(_Key, lambda dumper, key: dumper.represent_scalar("tag:yaml.org,2002:merge", key))
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))
_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)

if __name__ == "__main__":
    sys.exit({"file": write_file, "env": write_env}[sys.argv[1]]())
