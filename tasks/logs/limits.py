"""Threads and memory of an engine, from the environment, surface.yaml or a default."""

import os
from dataclasses import dataclass

from tasks.settings import Settings

_MEMORY = "4GB"


@dataclass(frozen=True)
class Limits:
    """Number of threads, and memory in the format ``4GB``."""

    threads: int
    memory: str


def limits(threads: int | None = None, memory: str | None = None) -> Limits:
    """Return EQUIPOISE_THREADS and EQUIPOISE_MEMORY if set, else the arguments, else the default."""
    settings = Settings()
    return Limits(settings.threads or threads or os.cpu_count() or 1, settings.memory or memory or _MEMORY)
