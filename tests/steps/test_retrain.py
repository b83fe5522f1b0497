"""The whole sequence: the first release, the same again, the second beside a champion, and one that was killed."""

import signal

from tests.steps.mini import Killed, Retrained, versions
from tasks.stores.registry import Registry

def test_first(first_retrain: Retrained) -> None:
    print(first_retrain.result.verdict, first_retrain.result.reasons)
    for g in first_retrain.result.gates: print(g["outcome"], g["gate"],g["subject"],g["segment"],g["observed"],g["reason"][:60])

def test_repeat(first_retrain, repeated):
    assert repeated.versions == first_retrain.versions
    print(repeated.versions)

def test_second(second_retrain):
    print(second_retrain.result.verdict, second_retrain.result.reasons)
    for g in second_retrain.result.gates: print(g["outcome"], g["gate"],g["subject"],g["segment"],g["observed"],g["reason"][:60])
    print(second_retrain.versions)

def test_killed(killed_retrain, first_retrain):
    print(killed_retrain.said, killed_retrain.exit_codes)
    v = versions(killed_retrain.context)
    print(v)
    assert v == first_retrain.versions
