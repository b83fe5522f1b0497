"""Airflow assets of a surface, on which DAGs of other teams can be scheduled.

::

    <surface>.labels      a label snapshot was published; extra: snapshot
    <surface>.release     a release was made; extra: release, backfilled
    <surface>.champion    the alias champion moved; extra: release, previous

The steps `validate` and `release` have theirs as outlets. The champion is an outlet by an alias of the
same name, because a promotion that moves nothing updates no asset.
"""

from collections.abc import Mapping
from typing import Any, Final

from airflow.sdk import Asset, AssetAlias, get_current_context

_STEPS: Final = {"validate": "labels", "release": "release"}


def asset(surface: str, kind: str) -> Asset:
    """Return an asset of a surface.

    Examples
    --------
    >>> asset("feed", "champion").name, asset("feed", "champion").uri
    ('feed.champion', 'x-equipoise://feed/champion')
    """
    return Asset(name=f"{surface}.{kind}", uri=f"x-equipoise://{surface}/{kind}", group="equipoise")


def of_champion(surface: str) -> dict[str, Any]:
    """Return inlet and outlet of a step that may move the champion.

    The inlet makes the asset known to Airflow before the first move.
    """
    return {"inlets": [asset(surface, "champion")], "outlets": [_champion_alias(surface)]}


def _champion_alias(surface: str) -> AssetAlias:
    return AssetAlias(name=f"{surface}.champion", group="equipoise")


def outlets(surface: str, step: str) -> list[Asset]:
    """Return the assets that a step of the pipeline updates whenever it succeeds."""
    return [asset(surface, _STEPS[step])] if step in _STEPS else []


def describe_update(surface: str, step: str, extra: Mapping[str, Any]) -> None:
    """Add to the update of a step's asset what it made."""
    get_current_context()["outlet_events"][asset(surface, _STEPS[step])].extra.update(extra)


def update_champion(surface: str, extra: Mapping[str, Any]) -> None:
    """Update the champion's asset, in a step with the outlet of `of_champion`."""
    events = get_current_context()["outlet_events"][_champion_alias(surface)]
    events.add(asset(surface, "champion"), extra=dict(extra))
