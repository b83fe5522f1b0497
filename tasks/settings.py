"""Every environment variable that Equipoise reads: its name, meaning and default, and how its text is read.

::

    Settings().threads                  4 or None, read from the environment now; or a ContractError
    Settings.of_repository().home       where EQUIPOISE_HOME is not set, the repository's own folder
    describe_settings(Settings())       one row for each variable, as `equipoise settings` prints them
    find_misspelt_names()               variables that are set, begin as ours do and are none of them

An empty variable counts as not set. Only the variable that is asked for is read, so a wrong value of another
one stops nothing. What a library reads itself (boto3, libpq, Airflow, MLflow) is documented with its use.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, overload

from tasks.errors import ContractError

REPOSITORY: Final = Path(__file__).resolve().parents[1]
HIDDEN: Final = "***"

_OURS: Final = "EQUIPOISE_"
_POSTGRESQL: Final = "EQUIPOISE_POSTGRESQL_"
_KEY: Final = re.compile(r"(?:[0-9a-fA-F]{2}){32,}")
_ENGINE_MEMORY: Final = "4GB"
_MEMORY: Final = re.compile(r"\d+(\.\d+)?\s*[KMGT](i?B)?|\d+(\.\d+)?\s*%", re.IGNORECASE)
_WHERE: Final = "in the current folder; in the repository for what Airflow and `make` start"
_LOGIN: Final = re.compile(r"(?<=://)\S+(?=@)")

T = TypeVar("T")


@dataclass(frozen=True)
class Variable(Generic[T]):
    """A variable of the environment; as an attribute of `Settings` it reads as the variable's value.

    Parameters
    ----------
    name : of the variable; ``<NAME>`` in it stands for any name.
    meaning, default : for people. Without a default the value is None where the variable is not set.
    parse : makes the value from the variable's name and its text, which is empty where it is not set.
    secret : whether the value is never printed.
    """

    name: str
    meaning: str
    default: str
    parse: Callable[[str, str], T]
    secret: bool = False

    @overload
    def __get__(self, settings: None, owner: type) -> "Variable[T]": ...

    @overload
    def __get__(self, settings: "Settings", owner: type) -> T: ...

    def __get__(self, settings: "Settings | None", owner: type) -> "Variable[T] | T":
        """Return the value here and now; on the class, the variable itself."""
        return self if settings is None else self.read(settings)

    def read(self, settings: "Settings") -> T:
        """Return the value in the environment of this moment.

        Raises
        ------
        ContractError
            The text is not a value of this variable.
        """
        return self.parse(self.name, os.environ.get(self.name, ""))


@dataclass(frozen=True)
class _Folder(Variable[Path]):
    """A folder; where it is not set, the folder ``below`` of the settings' root."""

    below: str = ""

    def read(self, settings: "Settings") -> Path:
        """Return the folder as an absolute path."""
        text = os.environ.get(self.name)
        return (self.parse(self.name, text) if text else settings.root / self.below).absolute()


@dataclass(frozen=True)
class Setting:
    """A variable as it stands in this environment.

    Parameters
    ----------
    value : what holds here, with secrets and passwords hidden; empty where nothing does.
    problem : why the value is refused; empty where it is not.
    """

    name: str
    value: str
    default: str
    meaning: str
    is_set: bool
    secret: bool
    problem: str = ""


def _text(name: str, text: str) -> str | None:
    return text or None


def _folder(name: str, text: str) -> Path:
    return Path(text)


def _path(name: str, text: str) -> Path | None:
    return Path(text) if text else None


def _threads(name: str, text: str) -> int | None:
    if text and (not text.isdecimal() or int(text) < 1):
        raise ContractError(f"{name} = '{text}' is not a number of threads. Write it as {name}=2")
    return int(text) if text else None


def _memory(name: str, text: str) -> str | None:
    if text and not _MEMORY.fullmatch(text):
        raise ContractError(f"{name} = '{text}' is not a memory size. Write it as {name}=4GB")
    return text or None


def parse_key(name: str, text: str) -> bytes | None:
    """Return the bytes of a key; None where the text is empty. Raises ContractError where it is none."""
    if text and not _KEY.fullmatch(text):
        raise ContractError(
            f"{name} is not a key. Set it to 64 or more hexadecimal digits, as `openssl rand -hex 32` prints"
        )
    return bytes.fromhex(text) if text else None


def _flag(name: str, text: str) -> bool:
    if text not in {"", "0", "1"}:
        raise ContractError(f"{name} = '{text}' is neither 0 nor 1")
    return text == "1"


def _port(default: int) -> Callable[[str, str], int]:
    def parse(name: str, text: str) -> int:
        if text and (not text.isdecimal() or not 1024 <= int(text) <= 65535):
            raise ContractError(f"{name} = '{text}' is not a port. Give a number from 1024 to 65535")
        return int(text) if text else default

    return parse


@dataclass(frozen=True)
class Settings:
    """What the environment says, read at the moment of asking.

    Parameters
    ----------
    root : folder below which the state and the contracts lie where no variable says otherwise.
    """

    root: Path = field(default_factory=Path.cwd)

    home = _Folder(
        "EQUIPOISE_HOME", "folder of the state", f"`.equipoise` {_WHERE}", _folder, below=".equipoise"
    )
    surfaces = _Folder(
        "EQUIPOISE_SURFACES", "folder of the contracts", f"`surfaces` {_WHERE}", _folder, below="surfaces"
    )
    logs = Variable(
        "EQUIPOISE_LOGS",
        "root of relative sources: a folder, or `s3://bucket/prefix`",
        "`logs` in the home",
        _text,
    )
    store = Variable(
        "EQUIPOISE_STORE",
        "root of labels, snapshots, quarantine, shadow, audit and evidence records: a folder, or `s3://bucket/prefix`",
        "the home",
        _text,
    )
    threads = Variable(
        "EQUIPOISE_THREADS", "threads of the engine", "`engine.threads`, else every core", _threads
    )
    memory = Variable(
        "EQUIPOISE_MEMORY", "memory of the engine, as in `4GB`", "`engine.memory`, else 4GB", _memory
    )
    spark_master = Variable(
        "EQUIPOISE_SPARK_MASTER",
        "Spark master of surfaces with the engine `spark`",
        "this machine",
        _text,
    )
    java_home = Variable("JAVA_HOME", "the Java installation for Spark", "the `java` on the PATH", _path)
    airflow_port = Variable("EQUIPOISE_AIRFLOW_PORT", "port of Airflow in `make up`", "`8080`", _port(8080))
    mlflow_port = Variable("EQUIPOISE_MLFLOW_PORT", "port of MLflow in `make up`", "`5000`", _port(5000))
    mlflow_url = Variable(
        "EQUIPOISE_MLFLOW_URL",
        "the address of MLflow in links for people; set by `make up`",
        "`MLFLOW_TRACKING_URI`",
        _text,
    )
    tracking_uri = Variable(
        "MLFLOW_TRACKING_URI",
        "the MLflow server of steps and of `equipoise`; set by `make up` and `make demo`",
        "sqlite in the home",
        _text,
    )
    aws_endpoint = Variable("AWS_ENDPOINT_URL", "the object store of `s3://` locations", "AWS", _text)
    aws_key = Variable("AWS_ACCESS_KEY_ID", "the account there", "none", _text, secret=True)
    audit_key = Variable(
        "EQUIPOISE_AUDIT_KEY",
        "key that signs the audit, 64 hexadecimal digits or more; with it an unsigned audit is refused",
        "`keys/audit` in the home, which `make up` makes; else none",
        parse_key,
        secret=True,
    )
    require_verified = Variable(
        "EQUIPOISE_REQUIRE_VERIFIED",
        "`1`: `score`, `explain`, `release verify` and served releases refuse bytes that no audited "
        "update made champion or canary",
        "none",
        _flag,
    )
    max_rows = Variable(
        "EQUIPOISE_MAX_ROWS",
        "maximum candidates of a call to a served release; larger calls get status 413",
        "`100000`",
        _text,
    )
    postgresql = Variable(
        f"{_POSTGRESQL}<NAME>",
        "connection string of the PostgreSQL server NAME of sources",
        "none",
        lambda name, _: _addresses(),
        secret=True,
    )
    parts_of = Variable(
        "EQUIPOISE_PARTS_OF",
        "the home of a process that `make up` started",
        "none",
        _path,
    )
    shared_data = Variable(
        "EQUIPOISE_SHARED_DATA",
        "folder of the public data sets for tests and benchmarks",
        "`../shared/data` next to the repository",
        lambda _, text: Path(text) if text else REPOSITORY.parent / "shared" / "data",
    )
    pictures = Variable(
        "EQUIPOISE_PICTURES",
        "folder in which the browser tests write the pictures of the docs",
        "none",
        _path,
    )
    remake_golden = Variable(
        "EQUIPOISE_REMAKE_GOLDEN", "`1`: the tests of the label SQL rewrite its stored text", "none", _text
    )

    @classmethod
    def of_repository(cls) -> "Settings":
        """Return the settings of a process whose current folder nobody chose: Airflow's, or that of make."""
        return cls(REPOSITORY)

    @property
    def mlflow_address(self) -> str:
        """Where people open MLflow, or nothing where only its store is known."""
        address = self.mlflow_url or self.tracking_uri or ""
        return address.rstrip("/") if address.startswith("http") else ""

    @classmethod
    def variables(cls) -> tuple[Variable[Any], ...]:
        """Return every variable, in the order of the documentation."""
        return tuple(value for value in vars(cls).values() if isinstance(value, Variable))


def describe_settings(settings: Settings) -> list[Setting]:
    """Return every variable as it stands here, with one row for each PostgreSQL server that is named."""
    rows = []
    for variable in Settings.variables():
        names = [variable.name]
        if variable is Settings.postgresql:
            names = [_POSTGRESQL + server for server in settings.postgresql] or names
        rows += [_describe(settings, variable, name) for name in names]
    return rows


def find_misspelt_names() -> list[str]:
    """Return a sentence for each variable that is set, begins as ours do and is none of them."""
    known = [variable.name for variable in Settings.variables() if variable.name.startswith(_OURS)]
    own = sorted(name for name in os.environ if name.startswith(_OURS) and not name.startswith(_POSTGRESQL))
    strange = {name: get_close_matches(name, known, n=1) for name in own if name not in known}
    return [
        f"The environment variable {name} is not known"
        f"{'; did you mean ' + close[0] + '?' if close else '.'} `equipoise settings` lists all that are."
        for name, close in strange.items()
    ]


def _describe(settings: Settings, variable: Variable[Any], name: str) -> Setting:
    text, problem, holds = os.environ.get(name, ""), "", None
    try:
        holds = variable.read(settings)
    except ContractError as error:
        problem = str(error)
    shown = HIDDEN if variable.secret else _LOGIN.sub(HIDDEN, text)
    value = shown if text else str(holds or "")
    return Setting(name, value, variable.default, variable.meaning, bool(text), variable.secret, problem)


def _addresses() -> dict[str, str]:
    """Return the connection string of every PostgreSQL server that is named, by its name in capitals."""
    found = {name: text for name, text in os.environ.items() if name.startswith(_POSTGRESQL) and text}
    return {name.removeprefix(_POSTGRESQL): found[name] for name in sorted(found)}


@dataclass(frozen=True)
class Limits:
    """Number of threads of an engine, and its memory in the format ``4GB``."""

    threads: int
    memory: str


def limits(threads: int | None = None, memory: str | None = None) -> Limits:
    """Return EQUIPOISE_THREADS and EQUIPOISE_MEMORY if set, else the arguments, else the default."""
    settings = Settings()
    return Limits(
        settings.threads or threads or os.cpu_count() or 1, settings.memory or memory or _ENGINE_MEMORY
    )
