"""A home that the code of November 2026 made, used by the code of now: nothing in it may be lost.

::

    logs of 27 days, labels, models, maps, policies, release 1 as of the end of day 26, champion by audited move
      -> the release verifies, scores and explains as it did
      -> its labels and its parts are found again, not made again
      -> a day later there is another release; it becomes champion, and the old one again

`README.md` says how the archive came about. Only the command line is used: modules may move.
"""

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.cli import main
from tests.made_before.unpack import MadeBefore, unpack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("made_before")]

ARCHIVE = Path(__file__).with_name("home_of_2026_11.tar.gz")
NAME, AS_OF, A_DAY_LATER = "feed", "2026-01-27T00:00:00Z", "2026-01-28T00:00:00Z"

_EMBARGO = (
    "the train days end one window of the whole chain before the calibrate days, not one of the last link"
)
_CHOICE = "a fifth of the users has no part in choosing the map, and measures what it gains"
MADE_ANEW: Mapping[str, str] = {
    "feed.task.back_1d": _EMBARGO,
    **{f"feed.calibrator.{task}": _CHOICE for task in ("click_6h", "buy_1d", "back_1d", "spend_1d")},
}
"""Parts that a retrain from the same inputs makes anew, with the reason: what counts as their inputs, or the
recipe that makes them, has changed since. Whatever is not named here must be found again."""

CLOSE = 1e-12
"""Relative tolerance: another processor may round a logarithm otherwise in the last digit."""


@dataclass(frozen=True)
class Home:
    """A home of one's own, worked by the command line."""

    made: MadeBefore

    def run(self, *words: str, code: int = 0) -> Any:
        """Run one command, look at its exit code and return the JSON that it printed."""
        where = ["--surfaces", str(self.made.surfaces), "--home", str(self.made.home), "--json"]
        with redirect_stdout(io.StringIO()) as printed:
            assert main([*words, *where]) == code
        return json.loads(printed.getvalue())

    def expected(self, name: str) -> Any:
        """Return what the earlier code printed."""
        return json.loads((self.made.expected / f"{name}.json").read_text(encoding="utf-8"))

    def retrain(self, as_of: str) -> int:
        """Retrain; return the release."""
        made = self.run("retrain", NAME, "--as-of", as_of)
        assert made["verdict"] == "promote", made["reasons"]
        return int(made["release"])

    def champion(self) -> int:
        return int(self.run("release", "show", NAME, "champion")["version"])

    def moves(self) -> list[tuple[str, int | None, int, str]]:
        told = self.run("release", "history", NAME)
        return [(row["kind"], row["from"], row["to"], row["why"]) for row in told]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home as it was made, for tests that only read."""
    return Home(unpack(ARCHIVE, tmp_path_factory.mktemp("untouched")))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(unpack(ARCHIVE, tmp_path))


def holds(found: Any, expected: Any) -> None:
    """Look that all that was told is told still; a list or a mapping may have got more to tell."""
    if isinstance(expected, dict):
        assert expected.keys() <= found.keys()
        for key, value in expected.items():
            holds(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            holds(one, other)
    else:
        assert found == (pytest.approx(expected, rel=CLOSE) if isinstance(expected, float) else expected)


def test_the_release_verifies_down_to_its_last_byte(untouched: Home) -> None:
    verified = untouched.run("release", "verify", NAME, "champion")
    assert verified["version"] == 1
    assert verified["problems"] == []
    assert verified["pins"] == 11


def test_the_release_shows_what_it_showed(untouched: Home) -> None:
    holds(untouched.run("release", "show", NAME, "1"), untouched.expected("show"))


def test_every_move_is_in_the_audit_still(untouched: Home) -> None:
    holds(untouched.run("release", "history", NAME), untouched.expected("history"))


def test_the_dossier_is_written_from_what_was_kept(untouched: Home) -> None:
    shown = untouched.run("release", "show", NAME, "champion", "--html")
    page = Path(shown["dossier"]).read_text(encoding="utf-8")
    assert "feed release 1: " in page
    assert "kept no calendar of them" in page
    assert page.count("<section id=") == 10


def test_the_release_scores_as_it_did(untouched: Home, tmp_path: Path) -> None:
    given = ("--release", "champion", "--input", str(untouched.made.expected / "candidates.parquet"))
    told = untouched.run("score", NAME, *given, "--out", str(tmp_path / "scored.parquet"))
    expected = untouched.expected("score")
    holds({**told, "out": ""}, {**expected, "out": ""})
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "scored.parquet"),
        pd.read_parquet(untouched.made.expected / "scored.parquet"),
        rtol=CLOSE,
        atol=0,
    )


def test_the_release_explains_as_it_did(untouched: Home) -> None:
    expected = untouched.expected("explain")
    given = ("--release", "champion", "--input", str(untouched.made.expected / "candidates.parquet"))
    holds(untouched.run("explain", NAME, *given, "--request", expected[0]["request_id"]), expected)


def test_labels_as_of_the_same_instant_are_there_already(home: Home) -> None:
    before = sorted(file for file in (home.made.home / "labels").rglob("*") if file.is_file())
    built = home.run("labels", "build", NAME, "--as-of", AS_OF)
    assert (built["partitions_written"], built["rows_written"]) == (0, 0)
    assert {key: built[key] for key in ("snapshot", "digest", "rows")} == {
        key: home.expected("labels")[key] for key in ("snapshot", "digest", "rows")
    }
    assert sorted(file for file in (home.made.home / "labels").rglob("*") if file.is_file()) == before


def test_a_retrain_as_of_the_same_instant_finds_every_part_again(home: Home) -> None:
    """The release is the same one as long as the code is that it brings, else one of the same parts."""
    release = home.retrain(AS_OF)
    assert release in {1, 2}
    shown, expected = home.run("release", "show", NAME, str(release)), home.expected("show")
    assert shown["snapshot"] == expected["snapshot"]
    assert shown["pins"].keys() == expected["pins"].keys()
    assert {name for name, version in shown["pins"].items() if version != 1} == set(MADE_ANEW)
    assert home.champion() == 1


def test_a_later_release_is_promoted_and_rolled_back_on_the_old_audit(home: Home) -> None:
    """Whoever promotes on the command line says in the surface that they sign alone, as was the rule then."""
    with (home.made.surfaces / NAME / "surface.yaml").open("a", encoding="utf-8") as surface:
        surface.write("\npromotion: {approvals_on_command_line: true}\n")
    release = home.retrain(A_DAY_LATER)
    shown = home.run("release", "show", NAME, str(release))
    assert release == 2
    assert shown["snapshot"] != home.expected("show")["snapshot"]
    policies = {name: version for name, version in shown["pins"].items() if name.endswith("policy")}
    assert policies == {"feed.utility_policy": 1, "feed.slate_policy": 1}
    home.run("promote", NAME, "2", "--why", "a day newer", "--by", "ben")
    assert home.champion() == 2
    home.run("rollback", NAME, "--why", "clicks fell", "--by", "ana")
    assert home.champion() == 1
    assert home.moves() == [
        ("promote", None, 1, "the first champion"),
        ("promote", 1, 2, "a day newer"),
        ("rollback", 2, 1, "clicks fell"),
    ]
    assert home.run("release", "verify", NAME, "1")["problems"] == []
