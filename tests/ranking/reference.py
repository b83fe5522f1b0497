"""The decision in plain Python, one request at a time, from the policies' JSON: slow, and read with ease."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

Row = Mapping[str, Any]


def decide_all(
    rows: Sequence[Row], utility: Mapping[str, Any], slate: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Decide on rows that carry their predictions; null is None."""
    decided: list[dict[str, Any]] = [{} for _ in rows]
    for request in {row["request_id"] for row in rows}:
        members = [i for i, row in enumerate(rows) if row["request_id"] == request]
        for i, result in zip(members, _decide([rows[i] for i in members], utility, slate), strict=True):
            decided[i] = result
    return decided


def differing_requests(
    rows: Sequence[Row], ours: Sequence[int], utility: Mapping[str, Any], slate: Mapping[str, Any]
) -> list[Any]:
    """Return the requests with another slate than the greedy one that may not have one.

    Another may stand where the greedy slate falls short of a rule, or took reservations with which caps contend, if
    it keeps the caps and falls short of no rule by more. Where slots are drawn another set above them draws others,
    so the caps alone are looked at.
    """
    decided = decide_all(rows, utility, slate)
    reference, reserved = (
        [row["slate_position"] or 0 for row in decided],
        [row["reserved"] for row in decided],
    )
    wrong = []
    for request in {row["request_id"] for row in rows}:
        members = [i for i, row in enumerate(rows) if row["request_id"] == request]
        if all(ours[i] == reference[i] for i in members):
            continue
        policy = _slate_rules(rows[members[0]], utility, slate)
        kept = [i for i in members if reference[i] or ours[i]]
        one, other = ([i for i in kept if slots[i]] for slots in (ours, reference))
        mine, greedy = (_shortfalls(placed, rows, policy, kept) for placed in (one, other))
        capped = bool(policy["max_per"] or policy["max_where"]) and not utility["lexicographic"]
        contends = capped and reserved[members[0]]
        fair = (any(greedy) or contends) and all(a <= b for a, b in zip(mine, greedy, strict=True))
        if not _keeps_caps(one, rows, policy) or not (fair or policy.get("exploration")):
            wrong.append(request)
    return wrong


def _shortfalls(
    placed: Sequence[int], rows: Sequence[Row], policy: Mapping[str, Any], kept: Sequence[int]
) -> list[int]:
    minimums = policy["min_where_if_available"].items()
    first = policy["required_first"]
    required = [i for i in kept if first is not None and rows[i][first] is True]
    return [
        policy["length"] - len(placed),
        len(set(required) - set(placed)),
        *(max(least - sum(rows[i][name] is True for i in placed), 0) for name, least in minimums),
    ]


def _keeps_caps(placed: Sequence[int], rows: Sequence[Row], policy: Mapping[str, Any]) -> bool:
    per = all(
        max(Counter(rows[i][name] for i in placed).values(), default=0) <= limit
        for name, limit in policy["max_per"].items()
    )
    where = policy["max_where"].items()
    return per and all(sum(rows[i][n] is not False for i in placed) <= limit for n, limit in where)


def _decide(
    rows: Sequence[Row], utility: Mapping[str, Any], slate: Mapping[str, Any]
) -> list[dict[str, Any]]:
    results = [_valued(row, utility) for row in rows]
    _drop(rows, results, utility)
    slate = _slate_rules(rows[0], utility, slate)
    kept = [i for i, result in enumerate(results) if result["dropped_by"] is None]
    kept.sort(key=lambda i: (_tier(rows[i], utility), -results[i]["utility"], rows[i]["item_id"]))
    for rank, i in enumerate(kept, start=1):
        results[i]["rank"] = rank
    worth = {i: results[i]["utility"] for i in kept}
    free = dict(slate) | {"min_where_if_available": {}, "required_first": None}
    chosen = _slate(kept, rows, worth, utility, free)
    reserved = _needs_reservations(chosen, kept, rows, slate)
    if reserved:
        chosen = _slate(kept, rows, worth, utility, slate)
    for slot, i in enumerate(chosen, start=1):
        results[i]["slate_position"] = slot
    return [result | {"reserved": reserved} for result in results]


def _needs_reservations(
    chosen: Sequence[int], kept: Sequence[int], rows: Sequence[Row], policy: Mapping[str, Any]
) -> bool:
    """Whether a slate without reservations falls short of a rule before any slot is drawn, or one is required."""
    explored = policy.get("exploration") or {"slots": 0}
    undrawn = dict(policy) | {"length": max(policy["length"] - explored["slots"], 0)}
    first = policy["required_first"]
    required = any(first is not None and rows[i][first] is True for i in kept)
    return required or any(_shortfalls(chosen[: undrawn["length"]], rows, undrawn, kept))


def _valued(row: Row, utility: Mapping[str, Any]) -> dict[str, Any]:
    context = _context(row, utility) or {"name": None, "weights": {}, "terms": {}}
    weights = utility["weights"] | context["weights"] | utility["terms"] | context["terms"]
    total, missing = 0.0, []
    for name in sorted(weights):
        weight = weights[name]
        part = _signal(row, name, weight) * weight["weight"]
        if (priced := _value_column(weight)) is not None:
            column, cap = priced
            value = row[column]
            missing += [column] if value is None else []
            part *= math.nan if value is None else min(value, cap)
        total += part
    return {
        "utility": _lifted(total, weights, utility) * _factor(row, context, utility),
        "missing": missing,
        "context": context["name"],
        "dropped_by": None,
        "rank": None,
        "slate_position": None,
    }


def _signal(row: Row, name: str, term: Mapping[str, Any]) -> float:
    """Return what a weight is multiplied by before its value column."""
    if any(row[f"p_{task}"] < least["min"] for task, least in term.get("where", {}).items()):
        return 0.0
    if term.get("column") is not None:
        return 1.0
    return max(row[f"p_{task}"] for task in term.get("greater_of") or [term.get("task") or name])


def _slate_rules(row: Row, utility: Mapping[str, Any], slate: Mapping[str, Any]) -> dict[str, Any]:
    changed = (_context(row, utility) or {}).get("slate") or {}
    return dict(slate) | {name: rule for name, rule in changed.items() if rule is not None}


def _context(row: Row, utility: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the first context whose every condition holds."""
    held = (one for one in utility["contexts"] if _holds(row, one))
    return next(held, None)


def _holds(row: Row, declared: Mapping[str, Any]) -> bool:
    return all(row[name] in values for name, values in declared["when"].items())


def _value_column(weight: Mapping[str, Any]) -> tuple[str, float] | None:
    times = weight["times"]
    if weight.get("column") is not None:
        return weight["column"], weight["cap"] or math.inf
    if times is None:
        return None
    return (times, math.inf) if isinstance(times, str) else (times["column"], times["cap"])


def _lifted(total: float, weights: Mapping[str, Any], utility: Mapping[str, Any]) -> float:
    """Return a total as it is, or made positive by the offset."""
    if utility.get("offset") is None:
        return total
    scale = utility["offset"]["scale"]
    sizes = {}
    for task in sorted(weights):
        _, cap = _value_column(weights[task]) or ("", math.inf)
        sizes[task] = abs(weights[task]["weight"]) * (1.0 if cap == math.inf else cap)
    costs = sum(size for task, size in sizes.items() if weights[task]["weight"] < 0)
    if total < 0:
        lifted: float = scale * (max(total + costs, 0.0) / sum(sizes.values()))
        return lifted
    return float(total + scale)


def _factor(row: Row, context: Mapping[str, Any], utility: Mapping[str, Any]) -> float:
    declared = {one["name"]: one for one in utility.get("multipliers", ())}
    declared |= {one["name"]: one for one in context.get("multipliers", ())}
    factors = [one["factor"] for _, one in sorted(declared.items()) if _holds(row, one)]
    return math.prod(factors)


def _drop(rows: Sequence[Row], results: list[dict[str, Any]], utility: Mapping[str, Any]) -> None:
    for row, result in zip(rows, results, strict=True):
        own = (_context(row, utility) or {}).get("hard_constraints", ())
        broken = [h["name"] for h in (*utility["hard_constraints"], *own) if _breaks(row, h)]
        broken += [f"unknown_value:{name}" for name in sorted(result["missing"])]
        result["dropped_by"] = broken[0] if broken else None
    standing = [row for row, result in zip(rows, results, strict=True) if result["dropped_by"] is None]
    own = [(_context(row, utility) or {}).get("relevance_floor", {}) for row in rows]
    for task in sorted({*utility["relevance_floor"], *(name for each in own for name in each)}):
        for row, result, floors in zip(rows, results, own, strict=True):
            floor = (utility["relevance_floor"] | floors).get(task, 0.0)
            least = (
                floor
                if isinstance(floor, float)
                else _quantile([r[f"p_{task}"] for r in standing], floor["quantile"])
            )
            if result["dropped_by"] is None and row[f"p_{task}"] < least:
                result["dropped_by"] = f"relevance_floor:{task}"


def _quantile(values: list[float], share: float) -> float:
    """Return the least value that is spared when the lowest share is cut off."""
    return sorted(values)[math.floor(share * len(values) + 1e-9)] if values else -math.inf


def _breaks(row: Row, constraint: Mapping[str, Any]) -> bool:
    keeps = constraint["keep_when"] is not None
    test = constraint["keep_when"] if keeps else constraint["drop_when"]
    value = row[test["column"]]
    if value is None:
        return True
    if test["equals"] is not None:
        holds = value == test["equals"]
    elif test["one_of"] is not None:
        holds = value in test["one_of"]
    elif test["above"] is not None:
        holds = value > test["above"]
    else:
        holds = value < test["below"]
    return not holds if keeps else holds


def _tier(row: Row, utility: Mapping[str, Any]) -> tuple[int, ...]:
    bands = []
    for tier in utility["lexicographic"]:
        band = sum(row[f"p_{tier['task']}"] >= cut for cut in tier["cuts"])
        costs = utility["weights"][tier["task"]]["weight"] < 0
        bands.append(band if costs else -band)
    return tuple(bands)


def _slate(
    ranked: list[int],
    rows: Sequence[Row],
    worth: Mapping[int, float],
    utility: Mapping[str, Any],
    policy: Mapping[str, Any],
) -> list[int]:
    filling = _Filling(ranked, rows, policy)
    filling.reserve()
    explored = policy.get("exploration") or {"slots": 0, "salt": ""}
    among: list[int] = []
    by_utility = policy["length"] - explored["slots"]
    while len(filling.slate) < policy["length"]:
        choice = filling.choice(by_utility)
        drawn = filling.pool() if len(filling.slate) >= by_utility else []
        among = among or drawn[: explored.get("among")]
        drawn = [i for i in drawn if i in among]
        if drawn:
            slot = len(filling.slate) + 1
            filling.place(min(drawn, key=lambda i: draw_number(rows[i], explored["salt"], slot)))
        elif choice:
            lowered = {i: worth[i] * filling.share(i) - filling.penalty(i) for i in choice}
            filling.place(min(choice, key=lambda i: (_tier(rows[i], utility), -lowered[i], ranked.index(i))))
        else:
            break
    return filling.slate


def draw_number(row: Row, salt: str, slot: int) -> int:
    """Return a candidate's random number for a slot, in whole numbers of Python."""
    number = 0
    for name in ("request_id", "user_id", "item_id"):
        key = blake2b(salt.encode(), digest_size=32).digest()
        text = "" if row[name] is None else str(row[name])
        hashed = blake2b(text.encode(), digest_size=8, key=key, person=name.encode()).digest()
        number = _splitmix(number ^ int.from_bytes(hashed, "little"))
    return _splitmix(number ^ slot)


def _splitmix(number: int) -> int:
    z = (number + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


class _Filling:
    def __init__(self, ranked: list[int], rows: Sequence[Row], policy: Mapping[str, Any]) -> None:
        self.ranked, self.rows, self.policy = ranked, rows, policy
        self.slate: list[int] = []
        self.reserved: list[int] = []

    def reserve(self) -> None:
        for i in self.ranked:
            if self.required(i) and self.has_room(i):
                self.reserved.append(i)
        for name, least in sorted(self.policy["min_where_if_available"].items()):
            for i in self.ranked:
                wanted = self.rows[i][name] is True and self.count(name, self.reserved) < least
                if wanted and i not in self.reserved and self.has_room(i):
                    self.reserved.append(i)
        self.give_back()

    def choice(self, by_utility: int) -> list[int]:
        required = [i for i in self.reserved if self.required(i)]
        spare = len(self.reserved) <= max(by_utility - len(self.slate) - 1, 0)
        return required or self.reserved + (self.others() if spare else [])

    def others(self) -> list[int]:
        return [i for i in self.ranked if i not in self.slate + self.reserved and self.has_room(i)]

    def pool(self) -> list[int]:
        """Return whom the next slot may draw; nobody while there are reservations."""
        where = self.policy["exploration"].get("where")
        pool = [i for i in self.others() if where is None or self.rows[i][where["column"]] == where["equals"]]
        return [] if self.reserved else pool

    def place(self, i: int) -> None:
        self.slate.append(i)
        if i in self.reserved:
            self.reserved.remove(i)
        else:
            self.give_back()

    def give_back(self) -> None:
        for i in reversed(self.ranked):
            if i in self.reserved and not self.required(i):
                marks = {
                    n: k for n, k in self.policy["min_where_if_available"].items() if self.rows[i][n] is True
                }
                if all(self.count(name, self.slate + self.reserved) > least for name, least in marks.items()):
                    self.reserved.remove(i)

    def has_room(self, i: int) -> bool:
        held = self.slate + self.reserved
        row, others = self.rows[i], [self.rows[j] for j in held]
        per = [sum(o[n] == row[n] for o in others) < k for n, k in self.policy["max_per"].items()]
        where = [
            row[n] is False or sum(o[n] is not False for o in others) < k
            for n, k in self.policy["max_where"].items()
        ]
        return len(held) < self.policy["length"] and all(per) and all(where)

    def required(self, i: int) -> bool:
        name = self.policy["required_first"]
        return name is not None and self.rows[i][name] is True

    def count(self, name: str, chosen: list[int]) -> int:
        return sum(self.rows[i][name] is True for i in chosen)

    def penalty(self, i: int) -> float:
        spread = self.policy["diversity"]
        if spread is None:
            return 0.0
        return spread["strength"] * sum(
            self.rows[j][spread["by"]] == self.rows[i][spread["by"]] for j in self.slate
        )

    def share(self, i: int) -> float:
        """Return what an item keeps of its utility behind those of the same value."""
        decay = self.policy.get("decay")
        if decay is None:
            return 1.0
        k = sum(self.rows[j][decay["by"]] == self.rows[i][decay["by"]] for j in self.slate)
        kept: float = (1 - decay["floor"]) * decay["factor"] ** k + decay["floor"]
        return kept
