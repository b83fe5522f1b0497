"""What the benchmark holds against MLflow's server gives the numbers of the kernel: the times compare."""

import json
from pathlib import Path

import numpy as np

from benchmarks.served.lean_server import score
from tasks.ranking.scoring import Scorer
from tasks.release.loading import load_release
from tasks.release.packaging import package_release, release_signature
from tasks.stores.files import write_files
from tests.feeds.toy_release import a_frame, toy_files, toy_manifest


def test_the_lean_server_gives_what_the_kernel_gives(tmp_path: Path) -> None:
    files, frame = toy_files(), a_frame(requests=3)
    scored = Scorer.from_files(files).score(frame)
    signature = release_signature(frame, scored)
    write_files(tmp_path, package_release(files, toy_manifest(), signature=signature)[0])
    body = json.dumps({str(name): frame[name].tolist() for name in frame}).encode()
    answered = json.loads(score(load_release(tmp_path), body))
    assert [*answered] == [*scored.columns]
    np.testing.assert_array_equal(answered["utility"], scored["utility"])
    slots = [slot or 0 for slot in answered["slate_position"]]
    assert slots == scored["slate_position"].fillna(0).tolist()
