import os
from pathlib import Path

import pytest

from tasks.deploy.debian import find_program, infrastructure
from tasks.deploy.layout import Layout
from tasks.deploy.parts import start
from tasks.deploy.services import Ended, Service
from tasks.errors import StoreError

SECRETS = {"POSTGRES_PASSWORD": "hush-postgres", "REDIS_PASSWORD": "hush-redis"}
installed = pytest.mark.skipif(
    not Path("/usr/bin/redis-server").exists() or not Path("/usr/lib/postgresql").exists(),
    reason="Debian's PostgreSQL and Redis are not installed",
)


@installed
def test_describing_them_writes_nothing_and_shows_no_secret(tmp_path: Path) -> None:
    ports = {"postgres": 1, "redis": 2, "object-store": 3}
    described = infrastructure(Layout(tmp_path, tmp_path, ports=ports), SECRETS, {})
    assert list(tmp_path.iterdir()) == []
    assert [service.name for service in described] == ["postgres-data", "postgres", "redis", "object-store"]
    assert not any("hush" in word for service in described for word in service.command)
    assert not any("0.0.0.0" in word for service in described for word in service.command)  # noqa: S104 - it is not there


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(
        StoreError, match=r"no-such-server is missing.*apt-get install postgresql redis-server"
    ):
        find_program("no-such-server")


def test_files_of_a_service_are_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path)
    (tmp_path / "parts").mkdir()
    file = tmp_path / "redis" / "redis.conf"
    start(layout, Service("part", ("true",), {}, Ended(), files={file: "hush"})).wait()
    assert file.read_text() == "hush"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a part as somebody else")
def test_a_home_that_keeps_the_other_user_out_is_said_with_the_way_out(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    layout = Layout(closed / "home", tmp_path)
    file = closed / "home" / "postgres" / "password"
    with pytest.raises(StoreError, match=r"may not pass .*EQUIPOISE_HOME.*chmod o\+x"):
        start(layout, Service("part", ("true",), {}, Ended(), user="daemon", files={file: "hush"}))
