"""The page of faults says what tests bring about, and nothing else."""

import ast
from pathlib import Path

import pytest

from tests.docs.faults import FAULTS, PAGE, page

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("test", [fault.test for faults in FAULTS.values() for fault in faults])
def test_every_fault_of_the_page_is_brought_about_by_a_test(test: str) -> None:
    path, _, name = test.partition("::")
    body = ast.parse((TESTS / path).read_text(encoding="utf-8")).body
    assert name in {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_the_page_is_made_of_the_table_of_the_tests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text
