"""Threads and memory of an engine: those of the environment, else of surface.yaml, else a default."""

import os
from dataclasses import dataclass

from tasks.errors import ContractError

MEMORY, THREADS = "EQUIPOISE_MEMORY", "EQUIPOISE_THREADS"
_MEMORY = "4GB"


@dataclass(frozen=True)
class Limits:
    """Threads, and memory as in ``4GB``."""

    threads: int
    memory: str


def limits(threads: int | None = None, memory: str | None = None) -> Limits:
    """Return EQUIPOISE_THREADS and EQUIPOISE_MEMORY where they are set, else what is given, else the default.

    Raises
    ------
    ContractError
        EQUIPOISE_THREADS is no number of threads.
    """
    said = os.environ.get(THREADS)
    if said and (not said.isdecimal() or int(said) < 1):
        raise ContractError(f"{THREADS} = '{said}' is no number of threads. Write it as {THREADS}=2")
    return Limits(int(said or threads or os.cpu_count() or 1), os.environ.get(MEMORY) or memory or _MEMORY)
