"""Locations of tables and logs: a local folder, or a prefix in an S3 object store.

::

    Path("/srv/equipoise/labels")          a folder: pathlib's class with all its methods
    ObjectPath("s3://bucket/labels")       a prefix: the methods of pathlib that tables and logs need

    EQUIPOISE_STORE     location of label tables, snapshots, audit and quarantine (default: the home)
    AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION     as for other S3 programs

Failures of an object store raise StoreError, whatever error its client raises.
"""

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tasks.errors import StoreError
from tasks.settings import Settings
from tasks.stores.files import replaced

if TYPE_CHECKING:
    from s3fs import S3FileSystem

_S3: Final = "s3://"


@dataclass(frozen=True)
class Stored:
    """A file's size in bytes, and the time at which it was written."""

    size: int
    written: datetime


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object or a prefix, by its URI without a trailing slash."""

    uri: str

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, below: object) -> "ObjectPath":
        return ObjectPath(f"{self.uri}/{str(below).strip('/')}")

    @property
    def name(self) -> str:
        """Last part of the URI."""
        return self.uri.rpartition("/")[2]

    @property
    def parent(self) -> "ObjectPath":
        """The prefix that contains this one."""
        return ObjectPath(self.uri.rpartition("/")[0])

    def with_name(self, name: str) -> "ObjectPath":
        """Return the sibling with another name."""
        return self.parent / name

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a prefix exists with its first object."""

    def is_file(self) -> bool:
        """Whether an object with exactly this name exists."""
        with _answering(self):
            return bool(objects().isfile(self.uri))

    def is_dir(self) -> bool:
        """Whether the prefix contains any object."""
        with _answering(self):
            return bool(objects().isdir(self.uri))

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Yield the direct children."""
        with _answering(self):
            return iter([_object(found) for found in objects().ls(self.uri, detail=False)])

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Yield the objects and prefixes below it that match a pattern, as `Path.glob` does."""
        with _answering(self):
            return iter([_object(found) for found in objects().glob(f"{self.uri}/{pattern}")])

    def files(self, pattern: str) -> list["ObjectPath"]:
        """Return the objects below it that match a pattern."""
        return [_object(name) for name in self._found(pattern, "file")]

    def folders(self, pattern: str) -> list["ObjectPath"]:
        """Return the prefixes below it that match a pattern."""
        return [_object(name) for name in self._found(pattern, "directory")]

    def listing(self, pattern: str) -> dict[str, Stored]:
        """Return the objects below it that match a pattern, with size and time of each."""
        found = self._found(pattern, "file")
        return {_object(name).uri: Stored(int(of["size"]), of["LastModified"]) for name, of in found.items()}

    def _found(self, pattern: str, kind: str) -> dict[str, Any]:
        """Return what the client knows of the objects or prefixes that match a pattern, by name."""
        with _answering(self):
            found = objects().glob(f"{self.uri}/{pattern}", detail=True)
        return {name: info for name, info in found.items() if info["type"] == kind}

    def size(self) -> int:
        """Return the size of an object in bytes."""
        with _answering(self):
            return int(objects().size(self.uri))

    def identity(self) -> str:
        """Return an identity that changes with the object: its size and tag."""
        with _answering(self):
            info = objects().info(self.uri)
        return f"{info['size']}-{info.get('ETag', info.get('LastModified'))}"

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove an object."""
        with _answering(self):
            if not missing_ok or objects().exists(self.uri):
                objects().rm_file(self.uri)

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open an object for reading."""
        with _answering(self), objects().open(self.uri, "rb") as opened:
            yield opened

    def put(self, file: Path) -> None:
        """Upload a copy of a file to this location."""
        with _answering(self):
            objects().put_file(str(file), self.uri)

    def take(self, folder: Path) -> None:
        """Upload a copy of a folder's files to this location."""
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            (self / file.relative_to(folder).as_posix()).put(file)


Location: TypeAlias = Path | ObjectPath


def locate(text: str) -> Location:
    """Parse a path or an ``s3://`` URI.

    Examples
    --------
    >>> locate("s3://bucket/labels/") / "home_feed"
    ObjectPath(uri='s3://bucket/labels/home_feed')
    """
    return ObjectPath(text.rstrip("/")) if text.startswith(_S3) else Path(text)


@contextmanager
def filled(location: Location) -> Iterator[Path]:
    """Yield a folder to fill: the location itself, or a folder that is uploaded at the end."""
    if isinstance(location, Path):
        yield location
        return
    with tempfile.TemporaryDirectory(prefix="equipoise-out-") as folder:
        yield Path(folder) / location.name
        location.take(Path(folder) / location.name)


def relative_path(root: Location, below: Location) -> PurePosixPath:
    """Return the path of a location relative to one above it.

    Examples
    --------
    >>> str(relative_path(locate("s3://bucket/labels"), locate("s3://bucket/labels/ds=2026-01-01/part.parquet")))
    'ds=2026-01-01/part.parquet'
    """
    return PurePosixPath(str(below)).relative_to(PurePosixPath(str(root)))


def files_below(location: Location, pattern: str) -> list[Location]:
    """Return the files or objects below a location that match a pattern, including broken links."""
    if isinstance(location, ObjectPath):
        return list(location.files(pattern))
    return [found for found in location.glob(pattern) if not found.is_dir()]


def folders_below(location: Location, pattern: str) -> list[Location]:
    """Return the folders or prefixes below a location that match a pattern."""
    if isinstance(location, ObjectPath):
        return list(location.folders(pattern))
    return [found for found in location.glob(pattern) if found.is_dir()]


def listing(location: Location, pattern: str) -> dict[str, Stored]:
    """Return the files or objects below a location that match a pattern, with size and time of each."""
    if isinstance(location, ObjectPath):
        return location.listing(pattern)
    found = {str(path): path.stat() for path in location.glob(pattern) if path.is_file()}
    return {path: Stored(s.st_size, datetime.fromtimestamp(s.st_mtime, UTC)) for path, s in found.items()}


def size_of(file: Location) -> int:
    """Return the size of a file or an object in bytes."""
    return file.size() if isinstance(file, ObjectPath) else file.stat().st_size


def read_bytes(file: Location) -> bytes:
    """Return the bytes of a file or an object."""
    if isinstance(file, Path):
        return file.read_bytes()
    with file.open() as opened:
        return bytes(opened.read())


@contextmanager
def written(file: Location) -> Iterator[Path]:
    """Yield a path to write, which atomically becomes the file or the object."""
    if isinstance(file, Path):
        with replaced(file) as part:
            yield part
        return
    with tempfile.TemporaryDirectory(prefix="equipoise-out-") as folder:
        yield Path(folder) / file.name
        file.put(Path(folder) / file.name)


def write_bytes(file: Location, data: bytes) -> None:
    """Write a file or an object atomically; a file is durable afterwards."""
    with written(file) as part:
        part.write_bytes(data)


def identity_of(file: Location) -> str:
    """Return an identity that changes when a file is rewritten, even with equal bytes or an older time."""
    if isinstance(file, ObjectPath):
        return file.identity()
    found = file.stat()
    return f"{found.st_size}-{found.st_ino}-{found.st_mtime_ns}-{found.st_ctime_ns}"


def storage_options(location: Location) -> dict[str, str] | None:
    """Return the Delta options in addition to the AWS variables: commits use conditional puts."""
    if not isinstance(location, ObjectPath):
        return None
    http = (Settings().aws_endpoint or "").startswith("http://")
    return {"aws_conditional_put": "etag", "aws_allow_http": str(http).lower()}


def has_objects() -> bool:
    """Return whether the environment configures an object store."""
    return any(place and place.startswith(_S3) for place in (Settings().store, Settings().logs))


def register_objects(connection: Any) -> None:
    """Register ``s3://`` in a DuckDB database if the environment configures an object store."""
    if has_objects():
        connection.register_filesystem(_object_store().Remembering())


def objects() -> "S3FileSystem":
    """Return this process's client for the object store that the environment configures."""
    return _object_store().client(Settings().aws_endpoint or "", Settings().aws_key or "")


def _object_store() -> ModuleType:
    """Import the object store client."""
    try:
        return importlib.import_module("tasks.stores.object_store")
    except ImportError:
        raise StoreError(
            "An s3:// location needs the package s3fs. Install Equipoise with its extra `production`"
        ) from None


@contextmanager
def _answering(location: ObjectPath) -> Iterator[None]:
    """Convert errors of an S3 client to StoreError."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        raise StoreError(f"The object store does not give {location}: {error}") from error


def _object(found: str) -> ObjectPath:
    return ObjectPath(_S3 + found.removeprefix(_S3).rstrip("/"))
