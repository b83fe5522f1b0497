"""Markdown description of a release for the registry: figures, weights and pins."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tasks.contracts import UtilitySpec
from tasks.contracts.effective_policy import describe_weight
from tasks.contracts.slate import Condition
from tasks.contracts.training import HeadKind
from tasks.contracts.utility import PolicyContext, Term
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import FactorModelEvidence
from tasks.evaluation.verdicts import Estimate
from tasks.reports.numbers import format_estimate
from tasks.stores.manifest import Manifest

_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")
_KEPT_SPACE: Final = "&emsp;"
_UNKNOWN = "inconclusive"
_MEASURED_BY: Final[Mapping[HeadKind, tuple[str, str]]] = {
    "binary": ("auc", ""),
    "value": ("mae", "mean absolute error "),
    "quantile": ("pinball_loss", "pinball loss "),
    "ranking": ("auc_by_request", "AUC within requests "),
}
"""Main metric of each kind of head, and the prefix of its figure."""
_RATIO: Final = "calibration_ratio"
_WITH_RATIO: Final = frozenset({"binary", "value"})
"""Kinds of heads that predict a mean."""


def describe(
    manifest: Manifest,
    utility: UtilitySpec,
    figures: Sequence[TaskFigures],
    *,
    factor_models: Sequence[FactorModelEvidence] = (),
) -> str:
    """Describe a release."""
    mark = ", backfilled" if manifest.backfilled else ""
    lines = [
        f"Release of **{manifest.surface}** as of {manifest.as_of:%Y-%m-%d %H:%M} UTC{mark}.",
        f"Labels: snapshot `{manifest.snapshot.id}`, tested on {manifest.test[0]} to {manifest.test[1]}.",
        "",
        *markdown_table(
            ["task", "AUC, or as named", "calibration ratio", "rows", "positives"],
            map(_figures, figures),
            spaced=True,
        ),
        "",
        *(line for factor_model in factor_models for line in (_factor_model(factor_model), "")),
        f"Weights of **{utility.policy}** version {utility.version}:",
        "",
        *markdown_table(["term", "weight", "why"], weight_terms(utility), spaced=True),
        "",
        *markdown_table(["part", "version", "sha256"], _pins(manifest), spaced=True),
    ]
    return "\n".join(lines)


def describe_verdict(text: str, *, verdict: str, champion: int | None, reasons: Sequence[str]) -> str:
    """Put the verdict of the gates, and up to five reasons to hold, before a release's description."""
    beside = (
        "without a champion to compare with" if champion is None else f"compared with champion {champion}"
    )
    lines = [
        f"Verdict of the gates: **{verdict}**, {beside}.",
        *(f"- {plain_markdown(reason)}" for reason in reasons[:5]),
    ]
    return "\n".join([*lines, "", text])


def describe_part(surface: str, releases: Sequence[int]) -> str:
    """Describe which releases pin a part, with links to them.

    Examples
    --------
    >>> describe_part("feed", [3, 4])
    'Pinned by release [3](#/models/feed.release/versions/3), [4](#/models/feed.release/versions/4).'
    """
    links = (_link(f"{surface}.release", version, str(version)) for version in releases)
    return f"Pinned by release {', '.join(links)}."


def _link(model: str, version: int, text: str) -> str:
    """Return a link to a version in MLflow's user interface."""
    return f"[{text}](#/models/{model}/versions/{version})"


def _figures(figures: TaskFigures) -> list[str]:
    whole = figures.whole()
    metric, name = _MEASURED_BY[figures.kind]
    of_it = _in_words(whole.get(metric))
    ratio = _in_words(whole.get(_RATIO)) if figures.kind in _WITH_RATIO else "-"
    counts = (f"{figures.rows:,}", f"{figures.positives:,}")
    return [figures.task, of_it if of_it == _UNKNOWN else f"{name}{of_it}", ratio, *counts]


def _factor_model(factor_model: FactorModelEvidence) -> str:
    model = _link(
        factor_model.model.name,
        factor_model.model.version,
        f"{factor_model.model.name} version {factor_model.model.version}",
    )
    until = factor_model.slices["train"][1]
    return f"The joint of {factor_model.task} is measured with {model}, trained up to {until}."


def _in_words(estimate: Estimate | None) -> str:
    if estimate is None or not estimate.known:
        return _UNKNOWN
    return format_estimate(estimate)


def weight_terms(utility: UtilitySpec) -> Iterator[list[str]]:
    """Yield each term with its weight and reason, then the other rules; contexts come last."""
    yield from _terms(utility.named_terms, "")
    if utility.offset is not None:
        yield ["offset", f"scale {utility.offset.scale:g}", ""]
    if utility.perturbation is not None:
        yield ["perturbation", f"each user's weights +- {utility.perturbation.size:.3g}", ""]
    yield from _rules(utility, "")
    for context in utility.contexts:
        yield from _terms(context.named_terms, f" in {context.name}")
        yield from _rules(context, f" in {context.name}")
        for field, value in context.slate.model_dump(exclude_none=True).items() if context.slate else ():
            yield [f"slate {field} in {context.name}", str(value), ""]


def _rules(place: UtilitySpec | PolicyContext, where: str) -> Iterator[list[str]]:
    """Yield multipliers, floors and hard constraints with their conditions."""
    for multiplier in place.multipliers:
        holds = " and ".join(f"{c} is {' or '.join(map(str, v))}" for c, v in multiplier.when.items())
        yield [f"multiplier {multiplier.name}{where}", f"x {multiplier.factor:g} where {holds}", ""]
    for task, floor in place.relevance_floor.items():
        least = f"{floor:g}" if isinstance(floor, float) else f"quantile {floor.quantile:g}"
        yield [f"floor {task}{where}", least, ""]
    for constraint in place.hard_constraints:
        for verb, condition in (("drops", constraint.drop_when), ("keeps", constraint.keep_when)):
            if condition is not None:
                yield [f"constraint {constraint.name}{where}", f"{verb} where {_test(condition)}", ""]


def _test(condition: Condition) -> str:
    tests = condition.model_dump(exclude={"column"}, exclude_none=True)
    test, operand = next(iter(tests.items()))
    return f"{condition.column} {test.replace('_', ' ')} {operand}"


def _terms(terms: Mapping[str, Term], where: str) -> Iterator[list[str]]:
    for name, term in terms.items():
        yield [f"{name}{where}", describe_weight(name, term), term.why or ""]


def _pins(manifest: Manifest) -> Iterator[list[str]]:
    for part in manifest.parts:
        yield [_link(part.name, part.version, part.name), str(part.version), f"`{part.sha256[:12]}`"]


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, spaced: bool = False
) -> Iterator[str]:
    """Write a markdown table; bars within cells become slashes, and HTML tags are escaped."""
    space = _KEPT_SPACE if spaced else ""
    for n, cells in enumerate((head, ["---"] * len(head), *rows)):
        first, *others = (plain_markdown(cell).replace("|", "/") for cell in cells)
        yield f"| {' | '.join([first, *(cell if n == 1 else f'{space}{cell}' for cell in others)])} |"


def plain_markdown(text: str) -> str:
    """Return a text on one line without HTML tags, comments or autolinks.

    Examples
    --------
    >>> plain_markdown("<img src=x> is <= 3")
    '&lt;img src=x> is <= 3'
    """
    return _TAG.sub("&lt;", " ".join(text.split()))
