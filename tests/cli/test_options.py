"""Arguments and options: what is typed becomes a value of the right type, or is refused."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.cli.program import parse
from tasks.errors import ContractError

AS_OF = "2026-03-02T00:00:00Z"


def test_an_instant_is_read_in_utc() -> None:
    call = parse(["validate", "feed", "--as-of", "2026-03-02T01:00:00+01:00"])
    assert call.arguments["as_of"] == datetime(2026, 3, 2, tzinfo=UTC)


def test_days_are_dates() -> None:
    words = ["labels", "build", "feed", "--as-of", AS_OF, "--from", "2026-03-01", "--to", "2026-03-02"]
    arguments = parse(words).arguments
    assert (arguments["first_day"], arguments["last_day"]) == (date(2026, 3, 1), date(2026, 3, 2))


def test_an_age_is_a_duration() -> None:
    assert parse(["labels", "vacuum", "feed", "--keep", "P7D"]).arguments["keep"] == timedelta(days=7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["validate", "feed", "--as-of", "2026-03-02"], "has no zone"),
        (["labels", "build", "feed", "--as-of", AS_OF, "--to", "20. March"], "Write it as 2026-03-01"),
        (["labels", "vacuum", "feed", "--keep", "P1M"], "'P1M' is no"),
        (
            ["world", "generate", "--days", "x", "--requests-per-day", "1", "--seed", "1", "--out", "o"],
            "--days",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_out(words: list[str], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        parse(words)


def test_a_policy_may_be_given_many_times() -> None:
    words = ["simulate", "feed", "--release", "3", "--policy", "a.yaml", "--policy", "b.yaml"]
    assert [path.name for path in parse(words).arguments["policy"]] == ["a.yaml", "b.yaml"]
