"""Mutants: one fault each, the same by the same seed, and never in what no test could be asked to notice."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.mutants import Module, draw, modules_of, score_line
from benchmarks.mutations import find_mutations, mutate

RANKING = Path("tasks/ranking")


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a == b", {"a != b"}),
        ("a in b", {"a not in b"}),
        ("a is b", {"a is not b"}),
        ("a and b", {"a or b"}),
        ("not a", {"a"}),
        ("a + b", {"a - b"}),
        ("a / b", {"a * b"}),
        ("f(3)", {"f(4)"}),
        ("f(True)", {"f(False)"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("if a:\n    b", {"if not a:\n    b"}),
    ],
)
def test_each_fault_is_made_once(source: str, mutants: set[str]) -> None:
    found = find_mutations(source)
    assert {mutate(source, one) for one in found} == mutants
    assert len(found) == len(mutants)


@pytest.mark.parametrize(
    "source",
    [
        '"""Doc."""',
        "a: Literal[1]",
        "def f(a: Literal[1]) -> Literal[2]:\n    pass",
        "@dataclass(frozen=True)\nclass A:\n    pass",
        "raise ValueError(a + 1)",
        "def f():\n    return None",
        "a + 'text'",
        "f'{a + 1}'",
    ],
)
def test_annotations_decorators_texts_and_messages_stay(source: str) -> None:
    assert find_mutations(source) == []


def test_every_mutant_of_a_package_is_a_module_and_another_one() -> None:
    for module in modules_of(RANKING):
        source = module.path.read_text(encoding="utf-8")
        whole = ast.unparse(ast.parse(source))
        mutants = [mutate(source, one) for one in find_mutations(source)[:5]]
        assert whole not in mutants
        assert all(ast.parse(mutant) for mutant in mutants)


def test_a_sample_is_the_same_by_the_same_seed_and_another_by_another() -> None:
    modules = modules_of(RANKING)
    assert draw(modules, sample=20, seed=1) == draw(modules, sample=20, seed=1)
    assert draw(modules, sample=20, seed=1) != draw(modules, sample=20, seed=2)
    assert len({(module.path, one.index) for module, one in draw(modules, sample=20, seed=1)}) == 20


def test_a_module_is_tested_by_the_file_that_mirrors_it() -> None:
    assert Module.of(RANKING / "slate.py").tests == Path("tests/ranking/test_slate.py")
    assert Module.of(Path("tasks/evaluation/nowhere.py")).tests is None


def test_an_endless_loop_is_noticed() -> None:
    assert (
        score_line("p", Counter({"timed out": 1, "survived": 1})) == "p: 1 of 2 mutants noticed, score 0.50"
    )
