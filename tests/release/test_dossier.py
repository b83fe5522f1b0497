import json
from dataclasses import replace
from datetime import UTC, date, datetime

from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.release.decision import Hold, Promote
from tasks.release.dossier import Dossier
from tasks.release.manifest import Manifest, PinnedPart, PinnedSnapshot, Role

AS_OF = datetime(2026, 5, 1, tzinfo=UTC)
RATIO = Verdict(
    "calibration",
    "click.calibration_ratio",
    "source=<ads>",
    Outcome.BLOCK,
    "0.9 to 1.1",
    Estimate(1.3, 1.2, 1.4, 90),
)
MANIFEST = Manifest(
    surface="feed",
    as_of=AS_OF,
    snapshot=PinnedSnapshot("abc123", "c", "d", AS_OF),
    contracts={"tasks": "t"},
    test=(date(2026, 4, 1), date(2026, 4, 7)),
    parts=(PinnedPart("feed.task.click", 3, "f" * 64, Role.TASK, "click", date(2026, 3, 1)),),
    files={},
    code={},
)
DOSSIER = Dossier(
    surface="feed",
    release=7,
    as_of="2026-05-01T00:00:00Z",
    decision=Hold(("calibration block: click",), ()),
    verdicts=(RATIO,),
    figures={
        "click": {
            "auc": Estimate(0.8, 0.7, 0.9, 90),
            "calibration_ratio": Estimate(1.0, float("nan"), 2.0, 1),
        }
    },
    manifest=MANIFEST,
    notes=("No position is logged.",),
    pictures={"click, before and after": b"\x89PNG"},
)


def test_the_page_begins_with_the_verdict_and_says_why() -> None:
    page = DOSSIER.to_html()
    assert "<h1>feed release 7: hold</h1>" in page
    assert page.index("Why it is held") < page.index("What these data cannot tell") < page.index("<h2>Gates")


def test_the_page_is_self_contained_and_escapes_what_it_shows() -> None:
    page = DOSSIER.to_html()
    assert "source=<ads>" not in page
    assert "source=&lt;ads&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_pins_every_part() -> None:
    page = DOSSIER.to_html()
    assert "feed.task.click" in page
    assert "f" * 16 in page


def test_the_json_holds_no_number_that_json_does_not_know() -> None:
    unknown = replace(RATIO, observed=Estimate(float("nan"), float("nan"), float("nan"), 0))
    plain = replace(DOSSIER, verdicts=(unknown,)).to_json()
    assert json.loads(json.dumps(plain, allow_nan=False))["gates"][0]["observed"]["value"] is None


def test_a_promoted_release_shows_its_warnings_and_no_reason() -> None:
    promoted = replace(DOSSIER, decision=Promote(("thin segment",)))
    assert promoted.verdict == "promote"
    assert "Why it is held" not in promoted.to_html()
    assert "thin segment" in promoted.to_html()
