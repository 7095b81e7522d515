"""Which parameters of two networks belong together, judged by structure alone; no torch here.

A state dict says which tensors each module owns, of which shapes, and in which order modules were
registered. Two networks match where their modules do, one to one, with equal shapes. Between
modules of equal shapes the order decides, or the tree of names where orders differ; where neither
decides, the match is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal, TypeAlias

from archdsl.torch_tools.errors import ToolError

COUNTER = "num_batches_tracked"
#: How a pair was found; docs/weights.md explains the words.
Ground: TypeAlias = Literal["name", "map", "shape", "order", "part"]
TensorShape: TypeAlias = tuple[int, ...]
#: The tensors a module owns, by their last names, without the counter of batch normalization.
TensorSignature: TypeAlias = tuple[tuple[str, TensorShape], ...]
_SHOWN = 6


class MatchError(ToolError):
    """Two networks that do not match, or match in more than one way."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A module that owns tensors itself, by its dotted path."""

    path: str
    signature: TensorSignature

    @property
    def parent(self) -> str:
        return self.path.rpartition(".")[0]

    def key(self, leaf: str) -> str:
        return f"{self.path}.{leaf}" if self.path else leaf

    def __str__(self) -> str:
        shapes = ", ".join(f"{leaf} {render_shape(shape)}" for leaf, shape in self.signature)
        return f"{self.path or 'the network itself'} ({shapes})"


@dataclass(frozen=True, slots=True)
class MatchedLayers:
    """A module of the source and the one of the target that gets its numbers."""

    source: Owner
    target: Owner
    ground: Ground


#: Modules that belong together: a layer and the normalization of its result.
_Unit: TypeAlias = tuple[Owner, ...]
_Units: TypeAlias = tuple[_Unit, ...]


def render_shape(shape: TensorShape) -> str:
    """``64×3×7×7``; a single number is ``1``."""
    return "×".join(map(str, shape)) or "1"


def read_owners(entries: Iterable[tuple[str, TensorShape]]) -> tuple[Owner, ...]:
    """The modules that own the entries of a state dict, in its order."""
    leaves: dict[str, dict[str, TensorShape]] = {}
    for key, shape in entries:
        path, _, leaf = key.rpartition(".")
        owned = leaves.setdefault(path, {})
        if leaf != COUNTER:
            owned[leaf] = shape
    return tuple(Owner(path, tuple(sorted(owned.items()))) for path, owned in leaves.items())


def match_owners(
    source: Sequence[Owner],
    target: Sequence[Owner],
    maps: Sequence[tuple[str, str]] = (),
    *,
    is_ordered: bool = True,
) -> tuple[MatchedLayers, ...]:
    """MatchedLayers the modules of two networks, in the target's order.

    ``maps`` are pairs of paths, of the source and of the target: what is below the first is
    matched with what is below the second, and with nothing else. ``is_ordered`` says whether the
    source's order means anything.

    Errors:
        MatchError: where a module has no partner, or more than one possible partner.
    """
    rest, wanted = list(source), list(target)
    pairs: list[MatchedLayers] = []
    for old, new in maps:
        ours, theirs = _below(rest, old, "source"), _below(wanted, new, "target")
        found = list(_match_all(ours, theirs, is_ordered))
        pairs += [replace(pair, ground="map") for pair in found] if len(found) == 1 else found
        rest = [owner for owner in rest if owner not in ours]
        wanted = [owner for owner in wanted if owner not in theirs]
    pairs += _match_all(rest, wanted, is_ordered)
    if not is_ordered:
        _refuse_order(pairs)
    places = {owner.path: place for place, owner in enumerate(target)}
    return tuple(sorted(pairs, key=lambda pair: places[pair.target.path]))


def drop_owners(owners: Sequence[Owner], prefixes: Iterable[str]) -> tuple[Owner, ...]:
    """The modules without those at or below the paths. Errors: as for ``match_owners``."""
    left = tuple(owners)
    for prefix in prefixes:
        dropped = _below(left, prefix, "source")
        left = tuple(owner for owner in left if owner not in dropped)
    return left


def _below(owners: Sequence[Owner], path: str, whose: str) -> list[Owner]:
    found = [o for o in owners if o.path == path or o.path.startswith(f"{path}.")]
    if not found:
        raise MatchError(f"the {whose} has no module `{path}` that is not matched already")
    return found


def _refuse_order(pairs: Sequence[MatchedLayers]) -> None:
    guessed = [pair.source for pair in pairs if pair.ground in ("order", "part")]
    if guessed:
        raise MatchError(
            f"ambiguous: {_listed(guessed)} of the source share their shapes with others, and the "
            f"file keeps no order; name the source's spec with --from, or say which with --map"
        )


def _match_all(
    source: list[Owner], target: list[Owner], is_ordered: bool
) -> Iterator[MatchedLayers]:
    names = {owner.path: owner for owner in source}
    if len(names) == len(target) and all(names.get(o.path) == o for o in target):
        yield from (MatchedLayers(owner, owner, "name") for owner in target)
        return
    _refuse_leftovers(source, target)
    ours, theirs = _join(source), _join(target)
    if not is_ordered or _counts(ours) != _counts(theirs):
        # One of the two may register its normalizations elsewhere.
        ours, theirs = _alone(source), _alone(target)
    counts = _counts(theirs)
    for old, new, by_order in _match(ours, theirs):
        ground: Ground = "order" if by_order else "part"
        if counts[_signature(new)] == 1:
            ground = "shape"
        yield from (MatchedLayers(a, b, ground) for a, b in zip(old, new, strict=True))


# ── Leftovers ────────────────────────────────────────────────────────────────────────────────


def _refuse_leftovers(source: list[Owner], target: list[Owner]) -> None:
    ours = Counter(owner.signature for owner in source)
    theirs = Counter(owner.signature for owner in target)
    if ours == theirs:
        return
    matcher = SequenceMatcher(
        None, [o.signature for o in source], [o.signature for o in target], autojunk=False
    )
    left: list[Owner] = []
    missing: list[Owner] = []
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag != "equal":
            left += [o for o in source[i:j] if ours[o.signature] > theirs[o.signature]]
            missing += [o for o in target[k:m] if theirs[o.signature] > ours[o.signature]]
    parts = []
    if left:
        parts.append(f"no place for {_listed(left)} of the source")
    if missing:
        parts.append(f"nothing for {_listed(missing)} of the spec")
    raise MatchError("; ".join(parts))


def _listed(owners: Sequence[Owner]) -> str:
    more = f" and {len(owners) - _SHOWN} more" if len(owners) > _SHOWN else ""
    return ", ".join(map(str, owners[:_SHOWN])) + more


# ── Units ────────────────────────────────────────────────────────────────────────────────────


def _alone(owners: Sequence[Owner]) -> _Units:
    return tuple((owner,) for owner in owners)


def _join(owners: Sequence[Owner]) -> _Units:
    """Each normalization joined to the layer before it, where its size is that of the result."""
    units: list[_Unit] = []
    for owner in owners:
        if units and len(units[-1]) == 1 and _normalizes(owner, units[-1][0]):
            units[-1] = (*units[-1], owner)
        else:
            units.append((owner,))
    return tuple(units)


def _normalizes(owner: Owner, before: Owner) -> bool:
    own, weight = dict(owner.signature), dict(before.signature).get("weight", ())
    sizes = {own.get(leaf) for leaf in ("running_mean", "weight")} - {None}
    return "bias" in own and len(weight) > 1 and sizes <= {(weight[0],), (weight[1],)}


def _signature(unit: _Unit) -> tuple[TensorSignature, ...]:
    return tuple(owner.signature for owner in unit)


def _signatures(units: _Units) -> list[tuple[TensorSignature, ...]]:
    return [_signature(unit) for unit in units]


def _counts(units: _Units) -> Counter[tuple[TensorSignature, ...]]:
    return Counter(_signatures(units))


# ── Matching ─────────────────────────────────────────────────────────────────────────────────

_Match: TypeAlias = tuple[_Unit, _Unit, bool]


def _match(source: _Units, target: _Units) -> Iterator[_Match]:
    """Match units whose signatures are the same except for order.

    The flag of each match says whether order alone decided it.
    """
    ours, theirs = _parts(source), _parts(target)
    are_parts_equal = len(ours) > 1 and _classes(ours) == _classes(theirs)
    if _signatures(source) == _signatures(target):
        if are_parts_equal:
            for a, b in zip(ours, theirs, strict=True):
                yield from _match(a, b)
        elif len(ours) > 1 and Counter(_classes(ours)) == Counter(_classes(theirs)):
            # Matching by order would split a part; matching by parts would change the order.
            raise _ambiguous(source, target)
        else:
            yield from ((a, b, True) for a, b in zip(source, target, strict=True))
        return
    segments = list(_segments(source, target))
    if len(segments) > 1:
        for a, b in segments:
            yield from _match(a, b)
        return
    if max(_counts(target).values()) == 1:
        places = {_signature(unit): unit for unit in source}
        yield from ((places[_signature(unit)], unit, False) for unit in target)
        return
    counts = Counter(_classes(theirs))
    if len(ours) < 2 or Counter(_classes(ours)) != counts or max(counts.values()) > 1:
        raise _ambiguous(source, target)
    partners = dict(zip(_classes(ours), ours, strict=True))
    for part, kind in zip(theirs, _classes(theirs), strict=True):
        yield from _match(partners[kind], part)


def _parts(units: _Units) -> list[_Units]:
    """The units, grouped by the first name in which their paths differ, in order."""
    paths = [unit[0].path.split(".") for unit in units]
    depth = 0
    while all(len(path) > depth + 1 for path in paths) and len({p[depth] for p in paths}) == 1:
        depth += 1
    named = zip((path[depth] for path in paths), units, strict=True)
    return [
        tuple(unit for _, unit in group) for _, group in groupby(named, key=lambda pair: pair[0])
    ]


def _classes(parts: list[_Units]) -> list[frozenset[tuple[tuple[TensorSignature, ...], int]]]:
    return [frozenset(_counts(part).items()) for part in parts]


def _segments(source: _Units, target: _Units) -> Iterator[tuple[_Units, _Units]]:
    """Cut both where a part ends in both and what is before it is the same except for order."""
    balance: Counter[tuple[TensorSignature, ...]] = Counter()
    start = 0
    for end, (ours, theirs) in enumerate(
        zip(_signatures(source), _signatures(target), strict=True), 1
    ):
        balance[ours] += 1
        balance[theirs] -= 1
        if end < len(source) and (any(balance.values()) or not _ends_part(source, target, end)):
            continue
        yield source[start:end], target[start:end]
        start = end


def _ends_part(source: _Units, target: _Units, end: int) -> bool:
    return all(u[end - 1][-1].parent != u[end][0].parent for u in (source, target))


def _ambiguous(source: _Units, target: _Units) -> MatchError:
    repeated = {signature for signature, count in _counts(target).items() if count > 1}
    ours = [unit[0] for unit in source if _signature(unit) in repeated]
    theirs = [unit[0] for unit in target if _signature(unit) in repeated]
    return MatchError(
        f"ambiguous: {_listed(ours)} of the source could each be more than one of "
        f"{_listed(theirs)} of the spec, whose orders differ; say which with --map"
    )
