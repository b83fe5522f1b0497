"""Threads and memory of an engine: from the environment, else from surface.yaml, else a default."""

import os
from dataclasses import dataclass

from tasks.settings import Settings

_MEMORY = "4GB"


@dataclass(frozen=True)
class Limits:
    """Threads, and memory as in ``4GB``."""

    threads: int
    memory: str


def limits(threads: int | None = None, memory: str | None = None) -> Limits:
    """Return EQUIPOISE_THREADS and EQUIPOISE_MEMORY where they are set, else the arguments, else the default.

    Raises
    ------
    ContractError
        EQUIPOISE_THREADS is not a number of threads, or EQUIPOISE_MEMORY not an amount of memory.
    """
    settings = Settings()
    return Limits(settings.threads or threads or os.cpu_count() or 1, settings.memory or memory or _MEMORY)
