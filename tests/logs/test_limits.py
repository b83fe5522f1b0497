"""How large an engine may be: the environment before the contract before the default."""

import os

import pytest

from tasks.errors import ContractError
from tasks.logs.limits import Limits, limits


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EQUIPOISE_THREADS", "EQUIPOISE_MEMORY"):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_goes_before_the_contract_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits() == Limits(os.cpu_count() or 1, "4GB")
    assert limits(3, "2GB") == Limits(3, "2GB")
    monkeypatch.setenv("EQUIPOISE_THREADS", "5")
    monkeypatch.setenv("EQUIPOISE_MEMORY", "6GB")
    assert limits(3, "2GB") == limits() == Limits(5, "6GB")


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5"])
def test_threads_that_are_no_number_are_refused(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("EQUIPOISE_THREADS", threads)
    with pytest.raises(ContractError, match=f"EQUIPOISE_THREADS = '{threads}' is not a number"):
        limits()
