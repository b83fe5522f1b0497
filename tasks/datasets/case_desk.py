"""A simulated workbench with known true probabilities: it suggests next actions to agents with a case.

::

    case of a tenant -> 12 suggestions, some of which are forbidden by rules -> 5 shown
        accepted < 15 min -> handled, progressed < 3 d -> reworked < 30 d after it
                          -> resolved, before the case's deadline or after it

- An easy action (``ease``) is accepted readily, progresses less and is reworked more. A good action
  (``quality``) progresses, is resolved in time and lasts. Ranking by acceptance alone shows easy actions.
- In the tenant ``dune`` easy actions are reworked most, which a mean over tenants hides.
- The logged features of an action are noisy estimates. Every tenant has its own actions. Some candidates
  belong to another tenant, or need a permission, state, jurisdiction or date that the case does not have.
- ``truth.parquet`` contains the probability of each label as in ``world``: at the first and at the actual
  position. A rework is joint with its progress; ``sla_met`` is null for a case without a future deadline.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from tasks import columns as c
from tasks.arrays import Flags, Floats, Integers, Names
from tasks.datasets.world.catalog import DAY_US
from tasks.datasets.world.entities import Happened
from tasks.datasets.world.feed import gumbel, place
from tasks.datasets.world.generate import START, Tables, WorldResult, write_world
from tasks.datasets.world.tables import Clock, request_names, truth_table, where_shown
from tasks.datasets.world.truth import delay, happened

TENANTS: Final = ("aurora", "borealis", "cobalt", "dune")
ROLES: Final = ("agent", "senior", "supervisor")
WORKFLOWS: Final = ("billing", "claims", "onboarding")
STATES: Final = ("open", "waiting", "escalated")
JURISDICTIONS: Final = ("de", "fr", "us")
KINDS: Final = ("answer", "ask", "refund", "reassign", "close")
PERMISSIONS: Final = ("reply", "refund", "override")
"""A role has the permissions up to its own index."""

EXAMINATION: Final = (1.0, 0.82, 0.68, 0.57, 0.48)
"""Probability that an agent examines a position; ``surface.yaml`` declares the same curve."""
LONGEST_SLA_DAYS: Final = 14
_CANDIDATES, _ACTIONS, _AGENTS = 12, 60, 240
_HARMED = TENANTS.index("dune")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_RESOLVED_AFTER, _LONGEST_RESOLUTION = 2.5 * _DAY, 20 * _DAY
_MAKE = 1
"""Increased whenever the same parameters give another world."""


@dataclass(frozen=True)
class _Desk:
    """The entities of all days: agents, and actions by ``tenant * _ACTIONS + number``.

    Number 0 is a general answer that every rule allows, and a candidate of every case. ``states`` and
    ``places`` have shape [actions, words] and contain where an action is allowed. ``valid`` contains its
    first and last instant, in microseconds since the first midnight. ``fit`` is by workflow and kind.
    """

    seed: int
    tenant: Integers
    role: Integers
    readiness: Floats
    kind: Integers
    needs: Integers
    states: Flags
    places: Flags
    valid: Integers
    risk: Floats
    ease: Floats
    quality: Floats
    seen: Floats
    fit: Floats

    @classmethod
    def draw(cls, seed: int) -> "_Desk":
        """Draw agents and actions, which do not depend on the days."""
        rng, actions = _rng(seed, 0), len(TENANTS) * _ACTIONS
        kind = rng.integers(0, len(KINDS), actions)
        ease, noise = rng.standard_normal((2, actions))
        quality = -0.3 * ease + 0.95 * noise
        needs = np.where(kind == KINDS.index("refund"), 1, np.where(rng.random(actions) < 0.06, 2, 0))
        first = rng.integers(-400 * _DAY, 60 * _DAY, actions)
        last = first + rng.integers(90 * _DAY, 900 * _DAY, actions)
        general = np.arange(actions) % _ACTIONS == 0
        kind[general], needs[general], first[general], last[general] = 0, 0, -400 * _DAY, 4000 * _DAY
        return cls(
            seed=seed,
            tenant=rng.choice(len(TENANTS), _AGENTS, p=(0.35, 0.3, 0.2, 0.15)),
            role=rng.choice(len(ROLES), _AGENTS, p=(0.6, 0.3, 0.1)),
            readiness=0.3 * rng.standard_normal(_AGENTS),
            kind=kind,
            needs=needs,
            states=(rng.random((actions, len(STATES))) < 0.85) | general[:, None],
            places=(rng.random((actions, len(JURISDICTIONS))) < 0.9) | general[:, None],
            valid=np.stack([first, last], axis=1) * 1_000_000,
            risk=rng.gamma(1.5, 0.6, actions).clip(0, 5),
            ease=ease,
            quality=quality,
            seen=np.stack([ease, quality]) + 0.3 * rng.standard_normal((2, actions)),
            fit=0.5 * rng.standard_normal((len(WORKFLOWS), len(KINDS))),
        )


@dataclass(frozen=True)
class _Cases:
    """Cases of one day, each opened once: shape [cases], and ``item`` [cases, candidates].

    ``at`` and ``due`` are microseconds since the first midnight; ``due`` is -1 without a deadline.
    """

    at: Integers
    agent: Integers
    workflow: Integers
    state: Integers
    place: Integers
    priority: Integers
    due: Integers
    item: Integers

    @classmethod
    def draw(cls, desk: _Desk, day: int, count: int, rng: np.random.Generator) -> "_Cases":
        """Draw the cases of a day with candidate actions, mostly of their tenant."""
        at = day * DAY_US + np.sort(rng.integers(7 * _HOUR, 19 * _HOUR, count)) * 1_000_000
        agent = rng.integers(0, _AGENTS, count)
        left = rng.exponential(3 * _DAY, count).clip(_HOUR, LONGEST_SLA_DAYS * _DAY - _HOUR)
        left = np.where(rng.random(count) < 0.02, -rng.uniform(0, _DAY, count), left)
        due = np.where(rng.random(count) < 0.03, -1, at + (left * 1e6).astype(np.int64))
        top = np.argsort(gumbel(rng, (count, _ACTIONS - 1)), axis=1)[:, :_CANDIDATES] + 1
        top[:, -1] = 0
        item = top + desk.tenant[agent][:, None] * _ACTIONS
        leaked = rng.random(count) < 0.1
        item[leaked, 0] = (item[leaked, 0] + _ACTIONS) % len(desk.kind)
        return cls(
            at=at,
            agent=agent,
            workflow=rng.choice(len(WORKFLOWS), count, p=(0.5, 0.3, 0.2)),
            state=rng.choice(len(STATES), count, p=(0.65, 0.2, 0.15)),
            place=rng.choice(len(JURISDICTIONS), count, p=(0.4, 0.35, 0.25)),
            priority=rng.integers(1, 5, count),
            due=due,
            item=item,
        )


@dataclass(frozen=True)
class _Chances:
    """Probabilities by row if an agent examines it, each conditional on the previous one."""

    accept: Floats
    progress: Floats
    rework: Floats
    resolve: Floats
    in_time: Floats
    minutes: Floats

    @classmethod
    def of(cls, desk: _Desk, cases: _Cases) -> "_Chances":
        """Return the probabilities of every candidate, [cases * candidates]."""
        item, case = cases.item.ravel(), np.repeat(np.arange(len(cases.at)), _CANDIDATES)
        agent, ease, quality = cases.agent[case], desk.ease[item], desk.quality[item]
        fit = desk.fit[cases.workflow[case], desk.kind[item]]
        allowed = np.all(list(_rules(desk, cases).values()), axis=0)
        backfires = (desk.tenant[agent] == _HARMED) * (0.5 + 0.9 * ease)
        left = (cases.due[case] - cases.at[case]) / 1e6 - 15 * _MINUTE
        whole = -np.expm1(-_LONGEST_RESOLUTION / _RESOLVED_AFTER)
        in_time = -np.expm1(-left.clip(0, _LONGEST_RESOLUTION) / _RESOLVED_AFTER) / whole
        return cls(
            accept=expit(-1.1 + 0.9 * ease + 0.4 * quality + fit + desk.readiness[agent] - 1.5 * ~allowed),
            progress=np.asarray(expit(0.3 + 0.9 * quality - 0.5 * ease)),
            rework=expit(-1.5 + 0.9 * ease - 0.6 * quality + backfires),
            resolve=np.asarray(expit(0.2 + 0.8 * quality - 0.4 * ease)),
            in_time=np.where(cases.due[case] > cases.at[case], in_time, np.nan),
            minutes=np.exp(2.5 - 0.5 * ease),
        )

    def at(self, rows: Integers) -> "_Chances":
        """Return the probabilities of some rows."""
        return _Chances(**{name: values[rows] for name, values in vars(self).items()})

    def truth(self, looks: Floats | float) -> dict[str, Floats]:
        """Return the probability of each label, given the probability of examination."""
        accepted = looks * self.accept
        return {
            "accepted_15m": accepted,
            "case_progress_3d": accepted * self.progress,
            "rework_30d": accepted * self.progress * self.rework,
            "sla_met": accepted * self.resolve * self.in_time,
            "handling_minutes_1d": accepted * self.minutes,
        }


def generate_case_desk(
    *, days: int, requests_per_day: int, seed: int, out: Path, start: date = START
) -> WorldResult:
    """Generate a workbench's log and truth into ``out``, which appears only when complete.

    Parameters
    ----------
    days, requests_per_day : at least 1; a case is one request, and shows 5 of its 12 candidates.
    seed : not negative.
    out : a folder that is absent, empty, or already contains the same world (then nothing is written).
    start : the first day (UTC).

    Raises
    ------
    ContractError
        A parameter is out of range, the world would end after today, or ``out`` contains something else.
    """
    asked = {"days": days, "requests_per_day": requests_per_day, "seed": seed, "start": start.isoformat()}
    tables = _days(seed, days, requests_per_day, Clock(datetime.combine(start, time(), UTC)))
    return write_world(out, {"world": "case_desk", **asked, "make": _MAKE}, tables, start=start)


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(100, *key)))


def _days(seed: int, days: int, requests_per_day: int, clock: Clock) -> Iterator[tuple[int, Tables]]:
    desk = _Desk.draw(seed)
    for day in range(days):
        rng = _rng(seed, 1, day)
        cases = _Cases.draw(desk, day, requests_per_day, rng)
        yield day, _tables(desk, cases, request_names(clock, day, 0, requests_per_day), clock, rng)


def _tables(desk: _Desk, cases: _Cases, names: Names, clock: Clock, rng: np.random.Generator) -> Tables:
    chances, shape = _Chances.of(desk, cases), cases.item.shape
    ease, quality = desk.seen[:, cases.item]
    score = 0.5 * ease + 0.25 * quality + 0.5 * rng.standard_normal(shape)
    placed, slots = place(score, len(EXAMINATION), rng), len(EXAMINATION)
    rows = (np.arange(len(cases.at))[:, None] * _CANDIDATES + placed.order).ravel()
    position = np.tile(np.arange(1, slots + 1, dtype=np.int32), len(cases.at))
    columns = _columns(desk, cases, names, clock) | {"retrieval_score": score.ravel()}
    shown: dict[str, npt.NDArray[Any]] = {c.POSITION: position, c.PROPENSITY: placed.propensity.ravel()}
    impressions = pa.table({n: pa.array(v).take(pa.array(rows)) for n, v in columns.items()} | shown)
    hidden = np.ones(score.size, dtype=np.bool_)
    hidden[rows] = False
    placement = {name: where_shown(values, rows, hidden) for name, values in shown.items()}
    of_shown = chances.at(rows)
    events = _events(of_shown, position, np.repeat(cases.at, slots), rng)
    return {
        "candidates": pa.table({**columns, c.SHOWN: ~hidden, **placement}),
        "impressions": impressions,
        "events": _events_table(events, impressions, clock),
        "truth": truth_table(
            impressions, of_shown.truth(1.0), of_shown.truth(np.asarray(EXAMINATION)[position - 1])
        ),
    }


def _rules(desk: _Desk, cases: _Cases) -> dict[str, Flags]:
    """Return by rule which candidates it allows, [cases * candidates]."""
    item, case = cases.item.ravel(), np.repeat(np.arange(len(cases.at)), _CANDIDATES)
    agent, at = cases.agent[case], cases.at[case]
    return {
        "tenant": item // _ACTIONS == desk.tenant[agent],
        "permission": desk.needs[item] <= desk.role[agent],
        "state": desk.states[item, cases.state[case]],
        "jurisdiction": desk.places[item, cases.place[case]],
        "validity": (desk.valid[item, 0] < at) & (at < desk.valid[item, 1]),
    }


def _columns(desk: _Desk, cases: _Cases, names: Names, clock: Clock) -> dict[str, Any]:
    """Return the known features of every candidate when a case is opened."""
    item, case = cases.item.ravel(), np.repeat(np.arange(len(cases.at)), _CANDIDATES)
    agent, at, due = cases.agent[case], cases.at[case], cases.due[case]
    ease, quality = desk.seen[:, item]
    has_due = due >= 0
    return {
        c.REQUEST_ID: pa.array(names).take(pa.array(case)),
        c.USER_ID: pa.array(np.char.mod("g%04d", agent)),
        c.ITEM_ID: pa.array(np.char.mod("a%04d", item)),
        c.SHOWN_AT: clock.instants(at),
        "case_id": pa.array(np.char.add("case-", names)).take(pa.array(case)),
        "tenant": _words(TENANTS, desk.tenant[agent]),
        "role": _words(ROLES, desk.role[agent]),
        "workflow": _words(WORKFLOWS, cases.workflow[case]),
        "case_state": _words(STATES, cases.state[case]),
        "jurisdiction": _words(JURISDICTIONS, cases.place[case]),
        "priority": cases.priority[case].astype(np.int32),
        "sla_due": pc.if_else(pa.array(has_due), clock.instants(due), None),
        "hours_to_due": pa.array((due - at) / (_HOUR * 1e6), mask=~has_due),
        "permissions": _lists(PERMISSIONS, np.arange(len(PERMISSIONS)) <= desk.role[agent][:, None]),
        "action": _words(KINDS, desk.kind[item]),
        "action_tenant": _words(TENANTS, item // _ACTIONS),
        "required_permission": _words(PERMISSIONS, desk.needs[item]),
        "allowed_states": _lists(STATES, desk.states[item]),
        "jurisdictions": _lists(JURISDICTIONS, desk.places[item]),
        "valid_from": clock.instants(desk.valid[item, 0]),
        "valid_until": clock.instants(desk.valid[item, 1]),
        "policy_risk": desk.risk[item],
        "action_accept_rate": expit(-1.1 + 0.9 * ease + 0.4 * quality),
        "action_progress_rate": expit(0.3 + 0.9 * quality - 0.5 * ease),
        "action_rework_rate": expit(-1.5 + 0.9 * ease - 0.6 * quality),
    }


def _words(vocabulary: tuple[str, ...], codes: Integers) -> pa.Array:
    return pa.array(vocabulary).take(pa.array(codes))


def _lists(vocabulary: tuple[str, ...], has: Flags) -> pa.ListArray:
    """Return the words of each row as a list."""
    ends = np.concatenate([[0], has.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), _words(vocabulary, np.nonzero(has)[1]))


def _events(
    chance: _Chances, position: npt.NDArray[np.int32], at: Integers, rng: np.random.Generator
) -> tuple[Happened, ...]:
    n = len(at)
    looked = rng.random(n) < np.asarray(EXAMINATION)[position - 1]
    accepted = looked & (rng.random(n) < chance.accept)
    accepted_at = at + delay(rng, n, mean=2 * _MINUTE, most=15 * _MINUTE)
    minutes = chance.minutes * np.exp(0.3 * rng.standard_normal(n) - 0.045)
    progressed = accepted & (rng.random(n) < chance.progress)
    progressed_at = accepted_at + delay(rng, n, mean=14 * _HOUR, most=3 * _DAY - _HOUR)
    reworked = progressed & (rng.random(n) < chance.rework)
    reworked_at = progressed_at + delay(rng, n, mean=5 * _DAY, most=30 * _DAY - _HOUR)
    resolved = accepted & (rng.random(n) < chance.resolve)
    resolution = delay(rng, n, mean=_RESOLVED_AFTER, most=_LONGEST_RESOLUTION)
    return (
        happened(rng, "accepted", accepted, accepted_at),
        happened(rng, "handled", accepted, accepted_at + (minutes * 60e6).astype(np.int64), minutes),
        happened(rng, "progressed", progressed, progressed_at),
        happened(rng, "reworked", reworked, reworked_at),
        happened(rng, "resolved", resolved, at + 15 * _MINUTE * 1_000_000 + resolution),
    )


def _events_table(events: tuple[Happened, ...], impressions: pa.Table, clock: Clock) -> pa.Table:
    """Return the events in order of time; each names its case and action."""
    named = impressions.select([c.USER_ID, c.ITEM_ID, c.REQUEST_ID, "case_id"])
    parts = []
    for kind in events:
        part = named.take(pa.array(kind.row))
        part = part.append_column(c.EVENT, pa.array([kind.event] * len(kind.row), pa.string()))
        part = part.append_column(c.HAPPENED_AT, clock.instants(kind.at))
        part = part.append_column(c.INGESTED_AT, clock.instants(kind.known_at))
        parts.append(part.append_column(c.VALUE, pa.array(kind.value, mask=np.isnan(kind.value))))
    return pa.concat_tables(parts).sort_by(c.HAPPENED_AT)
