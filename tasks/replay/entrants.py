"""Entrants by version, so that they can be loaded wherever blocks are decided."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from tasks import columns as c
from tasks.contracts import UtilitySpec, canonical
from tasks.errors import DataError, unknown
from tasks.release.view import load, with_boosts
from tasks.replay.decided_slice import Entrant, Entrants
from tasks.replay.log import PolicySlates
from tasks.replay.orders import LOGGED, baseline_order
from tasks.replay.slates import Scored, TestSlice
from tasks.stores.aliases import CHAMPION, release_name
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class Baseline:
    """The baseline of a release: a release or an order; the surface's declared order if neither is set."""

    release: int | None = None
    order: str | None = None

    @classmethod
    def of(cls, workspace: Workspace, name: str | None) -> "Baseline":
        """Parse a baseline: a release by version or alias, else an order; the champion by default.

        Raises
        ------
        ContractError
            The version does not exist.
        """
        if not name:
            return cls(workspace.releases.find(CHAMPION))
        if name.isdecimal() or name in release_aliases(workspace):
            return cls(workspace.releases.version(name))
        return cls(order=name)


@dataclass(frozen=True)
class EntrantVersions:
    """Entrants given as release versions and policy specifications.

    Attributes
    ----------
    release : the release under test.
    baseline : the release that it is compared with; None for an order.
    order : ``logged`` or a column; None for the surface's declared order.
    anchors : earlier releases by reference.
    others : further policies by name.
    """

    release: int
    baseline: int | None = None
    order: str | None = None
    anchors: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, UtilitySpec] = field(default_factory=dict)

    def load(self, workspace: Workspace) -> Entrants:
        """Load the releases, with the boosts in force at the as-of time of the release under test."""
        tested = workspace.releases.tested_version(self.release)
        as_of = workspace.releases.manifest(tested).as_of

        def order(block: TestSlice, ours: Scored) -> PolicySlates:
            return _order_slates(workspace, block, ours, self.order)

        return Entrants(
            _entrant(workspace, self.release, "release", as_of),
            order if self.baseline is None else _entrant(workspace, self.baseline, "champion", as_of),
            {
                reference: replace(_entrant(workspace, version, "release", as_of), served_as=None)
                for reference, version in self.anchors.items()
            },
            self.others,
        )

    def to_json(self) -> str:
        """Return the versions as JSON without descriptions, which do not affect decisions.

        Examples
        --------
        >>> EntrantVersions.from_json(EntrantVersions(3, order="price").to_json())
        EntrantVersions(release=3, baseline=None, order='price', anchors={}, others={})
        """
        others = {name: canonical(policy) for name, policy in self.others.items()}
        return json.dumps({**vars(self), "anchors": dict(self.anchors), "others": others})

    @classmethod
    def from_json(cls, text: str) -> "EntrantVersions":
        """Read the output of `to_json`."""
        plain = json.loads(text)
        others = {name: UtilitySpec.model_validate(policy) for name, policy in plain.pop("others").items()}
        return cls(**plain, others=others)


def release_aliases(workspace: Workspace) -> Mapping[str, int]:
    """Return the versions of a surface's releases by alias."""
    return workspace.store.registry.aliases(release_name(workspace.surface))


def _entrant(workspace: Workspace, version: int, word: str, as_of: datetime) -> Entrant:
    tested = load(workspace, workspace.releases.tested_version(version))
    return Entrant(with_boosts(workspace, tested, as_of), f"{word} {version}", served_as=version)


def _order_slates(workspace: Workspace, test: TestSlice, ours: Scored, order: str | None) -> PolicySlates:
    """Return the slates of an order; outcome columns are refused, and the error also lists aliases."""
    tasks = workspace.contracts.tasks.tasks
    outcomes = {name for task in tasks for name in (task, c.status(task), c.at(task))}
    known = [*(name for name in map(str, test.candidates.columns) if name not in outcomes), LOGGED]
    if order is not None and order not in known:
        raise DataError(unknown("baseline", order, [*release_aliases(workspace), *known]))
    return baseline_order(test, ours, order)
