from pathlib import Path

import pytest

from deploy.debian import describe_services, find_program
from deploy.layout import Layout
from tasks.errors import StoreError

SECRETS = {"POSTGRES_PASSWORD": "hush-postgres", "REDIS_PASSWORD": "hush-redis"}
installed = pytest.mark.skipif(
    not Path("/usr/bin/redis-server").exists() or not Path("/usr/lib/postgresql").exists(),
    reason="Debian's PostgreSQL and Redis are not installed",
)


@installed
def test_describing_them_writes_nothing_and_shows_no_secret(tmp_path: Path) -> None:
    ports = {"postgres": 1, "redis": 2, "object-store": 3}
    described = describe_services(Layout(tmp_path, tmp_path, ports=ports), SECRETS, {})
    assert list(tmp_path.iterdir()) == []
    assert [service.name for service in described] == ["postgres-data", "postgres", "redis", "object-store"]
    assert not any("hush" in word for service in described for word in service.command)
    assert not any("0.0.0.0" in word for service in described for word in service.command)  # noqa: S104 - it is not there


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(
        StoreError, match=r"no-such-server is missing.*apt-get install postgresql redis-server"
    ):
        find_program("no-such-server")
