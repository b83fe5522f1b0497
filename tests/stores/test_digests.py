"""Digests: of bytes as everyone computes them, of a tree independent of its order."""

from tasks.stores.digests import sha256, tree_digest


def test_the_sha256_of_nothing_is_the_published_one() -> None:
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_tree_is_digested_by_its_sorted_paths() -> None:
    assert tree_digest({"b": "2", "a/c": "1"}) == sha256(b"a/c 1\nb 2\n")
    assert tree_digest({"b": "2", "a": "1"}) == tree_digest({"a": "1", "b": "2"})


def test_a_renamed_file_is_another_tree() -> None:
    assert tree_digest({"a": "1"}) != tree_digest({"b": "1"})
