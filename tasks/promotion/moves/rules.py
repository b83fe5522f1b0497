"""Whether a release may become champion: what it rests on, and what supports it.

::

    gates say Promote          the release may be exposed
    experiment, or a waiver    tasks or policies are not the champion's: the gates cannot say which is better
    one Approve for each role  see `answers`
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tasks.contracts import digest
from tasks.contracts.gates import Ramp
from tasks.errors import ContractError, GateRefused, unknown
from tasks.promotion.moves.override import Override
from tasks.stores.manifest import Manifest

CHAMPION: Final = "champion"
CANARY: Final = "canary"
"""The stages of a promotion, and the aliases that they move."""
POLICIES: Final = {"tasks": "tasks.yaml", "utility": "utility.yaml", "slate": "slate.yaml"}
"""The contracts whose change no gate can judge, and their files."""


@dataclass(frozen=True)
class PromotionRequest:
    """What speaks for a release, against the current champion.

    Parameters
    ----------
    champion : the champion's version, None where there is none.
    changed : which of the tasks and policies are not the champion's.
    evidence : digest of all that the decision rests on; other evidence has another.
    loosened : the gates, base rates and reviewers that let more through than when the release was made.
    as_of : the day at which the release was judged.
    terms : how far it is to move, and what is overridden for it.
    canary_permitted : it is held, and may serve as the canary all the same.
    """

    release: int
    champion: int | None
    verdict: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    changed: tuple[str, ...]
    evidence: str
    loosened: tuple[str, ...] = ()
    as_of: str = ""
    terms: "PromotionTerms" = field(default_factory=lambda: PromotionTerms())  # noqa: PLW0108 - it is defined below
    canary_permitted: bool = False


@dataclass(frozen=True)
class PromotionSupport:
    """What a promotion is asked for with.

    Parameters
    ----------
    experiment, waiver : the online test that supports changed tasks or policies, or why there is none.
    override : why gates that hold the release are overridden.
    stage : ``canary`` or ``champion``; by default the first that the surface has.
    why : the reason that is given for the promotion.
    """

    experiment: str | None = None
    waiver: str | None = None
    override: str | None = None
    stage: str | None = None
    why: str = ""


@dataclass(frozen=True)
class PromotionTerms:
    """How far a release is to move and what is given for it; each approval is for these very terms.

    ``share`` of its pool's users that it serves as a canary; None where it becomes champion.
    ``was_canary`` says that it is the canary now and is to move on. ``support`` is what was asked with.
    """

    share: float | None = None
    override: Override | None = None
    was_canary: bool = False
    support: PromotionSupport = PromotionSupport()

    @property
    def plain(self) -> dict[str, object]:
        """What of them an evidence digest holds."""
        texts = {name: getattr(self.support, name) for name in ("experiment", "waiver", "why")}
        return {
            "canary_share": self.share,
            "override": None if self.override is None else asdict(self.override),
            **{name: " ".join((text or "").split()) for name, text in texts.items()},
        }


@dataclass(frozen=True)
class Actor:
    """Who moves an alias: a name, and the Airflow run whose reviewers answered, empty on the command line."""

    name: str
    run: str = ""


def changed_contracts(release: Mapping[str, str], champion: Mapping[str, str] | None) -> tuple[str, ...]:
    """Name the tasks and policies that are not the champion's, by the contract digests of both.

    Examples
    --------
    >>> release = {"tasks": "a", "utility": "b", "slate": "c"}
    >>> changed_contracts(release, release | {"utility": "x"}), changed_contracts(release, None)
    (('utility',), ())
    """
    if champion is None:
        return ()
    return tuple(name for name in POLICIES if release[name] != champion[name])


def choose_share(
    ramp: Ramp | None,
    *,
    stage: str | None,
    release: int,
    aliases: Mapping[str, int],
    live: Mapping[int, bool],
) -> float | None:
    """Return the share of its pool's users that a release serves as the canary; None for a champion.

    Parameters
    ----------
    ramp : what the surface declares.
    stage : as it was asked for; by default ``canary`` where a ramp is declared.
    live : of each release that ramps now, whether it passed the last stage.

    Examples
    --------
    >>> ramp = Ramp(guardrails=("hide_7d_rate",))
    >>> choose_share(ramp, stage=None, release=3, aliases={"champion": 2}, live={})
    0.01
    >>> choose_share(ramp, stage="champion", release=3, aliases={"champion": 2}, live={3: True})
    >>> choose_share(ramp, stage=None, release=3, aliases={}, live={})
    """
    if stage not in {None, CANARY, CHAMPION}:
        raise ContractError(unknown("stage", stage or "", [CANARY, CHAMPION]))
    if stage == CANARY and ramp is None:
        raise ContractError("surface.yaml declares no ramp (ramp: {guardrails: [hide_7d_rate]})")
    if stage == CANARY and CHAMPION not in aliases:
        raise ContractError("There is no champion beside which a canary would serve: promote it as champion")
    if ramp is None or CHAMPION not in aliases:
        return None
    if stage in {None, CANARY}:
        if release in live:
            raise GateRefused(f"Release {release} is the canary already. `equipoise ramp` takes it on")
        return ramp.stages[0].share
    if release not in live:
        now = f"release {' and '.join(map(str, live))} is" if live else "there is none"
        raise GateRefused(
            f"Release {release} is champion only after it was the canary, and {now} now: promote it as the "
            "canary first"
        )
    if not live[release]:
        raise GateRefused(
            f"Release {release} has not reached the end of its ramp. `equipoise ramp` shows its stage and "
            "what it waits for"
        )
    return None


def evidence_digest(
    manifest: Manifest,
    champion: Manifest | None,
    gates: Sequence[Mapping[str, Any]],
    *,
    rules: str,
    terms: PromotionTerms = PromotionTerms(),  # frozen
) -> str:
    """Digest both releases, every verdict, the gates and the terms of a promotion, not the runs."""
    verdicts = [{name: value for name, value in gate.items() if name != "evidence"} for gate in gates]
    return digest(
        {
            "release": manifest.digest,
            "champion": None if champion is None else champion.digest,
            "gates": verdicts,
            "rules": rules,
            **terms.plain,
        }
    )


def refuse_other_contracts(manifest: Manifest, contracts: Mapping[str, str]) -> None:
    """Refuse a release that was made under other tasks or policies than are in force."""
    other = changed_contracts(manifest.contracts, contracts)
    if other:
        files = ", ".join(POLICIES[name] for name in other)
        raise GateRefused(
            f"This release was made under another {files} than is in force now. Retrain to make one under "
            "the contracts in force, or take the change back."
        )


def refuse_verdict(request: PromotionRequest) -> None:
    """Refuse a release that its gates hold, unless what holds it is overridden, or is decided by a ramp."""
    ramps = request.terms.share is not None or request.terms.was_canary
    if (
        request.verdict != "promote"
        and request.terms.override is None
        and not (request.canary_permitted and ramps)
    ):
        shown = "; ".join(request.reasons[:3])
        more = f" and {len(request.reasons) - 3} more, in its dossier" if len(request.reasons) > 3 else ""
        beside = "without a champion" if request.champion is None else f"beside champion {request.champion}"
        alone = "; it may be champion after a ramp, as the canary first" if request.canary_permitted else ""
        raise GateRefused(f"Release {request.release} is held {beside}: {shown}{more}{alone}")


def require_support(request: PromotionRequest, support: PromotionSupport) -> None:
    """Demand an experiment or a waiver where tasks or policies are not the champion's."""
    if support.experiment and support.waiver:
        raise ContractError("An experiment and a waiver exclude each other: give the one that is true")
    if request.changed and not (support.experiment or support.waiver):
        files = " and ".join(POLICIES[name] for name in request.changed)
        raise ContractError(
            f"Release {request.release} changes {files} of champion {request.champion}. The gates say that "
            "it may be exposed, not that it is better for people: name the online experiment that supports "
            "it (--experiment REF), or say why there is none (--waiver WHY)"
        )
