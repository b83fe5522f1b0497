"""How long a simulated feed of two million impressions takes: ``python -m benchmarks.world``."""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from tasks.datasets.world.entities import SLOTS
from tasks.datasets.world.generate import generate

DAYS = 132
ALLOWED_SECONDS = 30.0
ALLOWED_IMPRESSIONS = 2_000_000


def main() -> None:
    """Generate a world into a folder that is thrown away; print seconds, ratio and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impressions", type=int, default=ALLOWED_IMPRESSIONS)
    wanted = parser.parse_args().impressions
    with tempfile.TemporaryDirectory() as folder:
        began, busy = time.perf_counter(), time.process_time()
        made = generate(
            days=DAYS, requests_per_day=-(-wanted // (DAYS * SLOTS)), seed=1, out=Path(folder) / "world"
        )
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
    allowed = ALLOWED_SECONDS * made.impressions / ALLOWED_IMPRESSIONS
    print(
        f"world: {made.impressions:,} impressions, {made.candidates:,} candidates, {made.events:,} events\n"
        f"  {seconds:.1f} s ({busy:.1f} s of processor time), ratio to the allowed {allowed:.1f} s: "
        f"{seconds / allowed:.2f}\n"
        f"  peak memory {_peak_gigabytes():.2f} GB"
    )


def _peak_gigabytes() -> float:
    unit = 1e9 if sys.platform == "darwin" else 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
