import os
import socket
from pathlib import Path

import pytest

from tasks.contracts.yaml_file import read_yaml
from tasks.errors import ContractError

BOMB = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", "line 2: the key 'a' appears twice"),
        ("x: {b: 1, b: 2}\n", "the key 'b' appears twice"),
        (BOMB, "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "tag"),
        ("a: !thing 1\n", "tag"),
        ("- 1\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("1: x\n", "is not text"),
        ("a: [1\n", "t.yaml line"),
        ("a: \x07\n", "not readable YAML"),
    ],
)
def test_what_is_no_plain_mapping_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=r"t\.yaml") as caught:
        read_yaml(tmp_path / "t.yaml")
    assert words in str(caught.value)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_bytes("owner: Zoë\n".encode("latin-1"))
    with pytest.raises(ContractError, match=r"t\.yaml: is not text in UTF-8, see byte 9"):
        read_yaml(tmp_path / "t.yaml")


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: " + "x" * (1 << 20))
    with pytest.raises(ContractError, match="is larger than"):
        read_yaml(tmp_path / "t.yaml")


def test_deep_nesting_is_refused_and_does_not_crash(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: " + "[" * 20_000 + "]" * 20_000)
    with pytest.raises(ContractError, match="not readable YAML"):
        read_yaml(tmp_path / "t.yaml")


def test_what_is_no_regular_file_is_refused_without_waiting_or_reading_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder.yaml").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.yaml"))
    for name in ("pipe", "device", "folder", "socket"):
        with pytest.raises(ContractError, match=rf"{name}\.yaml: (is not a regular file|cannot be read)"):
            read_yaml(tmp_path / f"{name}.yaml")
    server.close()


def test_a_link_to_a_contract_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: 1\n")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "t.yaml")
    assert read_yaml(tmp_path / "link.yaml") == {"a": 1}


def test_words_stay_words(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "on: item\nno: yes\nday: 2026-01-01\nzip: 010\ntime: 12:30:00\nt: true\nf: 1e-4\nn: 3\n"
    )
    assert read_yaml(tmp_path / "t.yaml") == {
        "on": "item", "no": "yes", "day": "2026-01-01", "zip": "010", "time": "12:30:00", "t": True, "f": 1e-4, "n": 3,
    }  # fmt: skip
