"""Fixes for wrong volumes: which attribute of which layer, and whether that is enough."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from archdsl.layers import Layer, LayerError
from archdsl.layers.definition import fields_of, words_of
from archdsl.layers.fields import Change
from archdsl.layers.volume import Volume
from archdsl.layers.windows import in_short, pad_sides
from archdsl.network.graph import Node
from archdsl.text.diagnostics import Edit, Fix
from archdsl.text.source import Span

#: How many layers of a branch are tried; each choice among them infers the volumes once more.
MAX_TRIED = 6
#: A branch of more layers is not fixed.
MAX_BRANCH = 200


def change_setting(layer: type[Layer], span: Span, change: Change) -> Edit | None:
    """The edit that sets a field of the layer written at ``span``; None if it is not a literal."""
    role = next((item.role for item in fields_of(layer) if item.name == change.field), None)
    if role is None:
        return None
    value = change.value
    shown = in_short(value) if isinstance(value, tuple) else str(value)
    literal = r"[A-Za-z]+" if isinstance(value, str) else r"\d+(?:[x×]\d+)*(?![\w.])"
    patterns = [rf"\b{change.field}\s*=\s*({literal})"]
    if role.letter:
        patterns.append(rf"\b{role.letter}({literal})")
    if role.is_positional:
        patterns.append(rf"^\w+\s+({literal})")
    for pattern in patterns:
        found = re.search(pattern, span.text)
        if found:
            start, end = (span.start + offset for offset in found.span(1))
            return Edit(Span(span.source, start, end), shown)
    return None


def pad_branches(layer: Layer, inputs: Sequence[int], nodes: Sequence[Node]) -> Fix | None:
    """The fix that adds `same` to branches that differ in size, where that allows the merge.

    All branches must reach the size that most of them have; of several such sizes, the largest,
    since padding never makes a volume smaller.
    """
    sizes = [nodes[id].volume.sizes[:-1] for id in inputs]
    counts = Counter(sizes)
    wanted = max(counts, key=lambda size: (counts[size], size))
    ancestors = [_ancestors(id, nodes) for id in inputs]
    shared = set.intersection(*ancestors)
    changed: dict[int, Layer] = {}
    for id, size, above in zip(inputs, sizes, ancestors, strict=True):
        if size == wanted:
            continue
        found = _change_branch(id, wanted, above - shared, nodes, _SAME)
        if found is None:
            return None
        changed |= found
    if not changed:
        return None
    volumes = _infer_again(changed, nodes)
    try:
        result = layer.infer(tuple(volumes[id] for id in inputs))
    except LayerError:
        return None
    edits = tuple(Edit(span.after, " same") for span in _places(changed, nodes))
    which = " to each of the layers that shrink" if len(edits) > 1 else _which(changed, nodes)
    return Fix(f"add `same`{which} to get {result}", edits)


def pad_statement(
    span: Span, start: int, end: int, written: Volume, nodes: Sequence[Node]
) -> Fix | None:
    """The fix that adds `same` or `ceil` to a statement whose volume is not the one it claims.

    ``start`` is the node that flows into the statement, ``end`` the one that it gives.
    """
    own = _ancestors(end, nodes) - _ancestors(start, nodes)
    if any(nodes[id].span.source is not span.source for id in own):
        return None
    for flag in (_SAME, _CEIL):
        changed = _change_branch(end, written.sizes, own, nodes, flag)
        if changed is not None:
            edits = tuple(Edit(place.after, f" {flag.word}") for place in _places(changed, nodes))
            if all(span.start <= edit.span.start <= span.end for edit in edits):
                return Fix(f"add `{flag.word}` to get {written}", edits)
    return None


@dataclass(frozen=True, slots=True)
class _Flag:
    """A word that may be missing, and the field it sets."""

    word: str
    field: str
    value: str | bool

    def is_missing(self, node: Node) -> bool:
        """Whether a layer has the field, but its text does not set it."""
        known = words_of(type(node.layer)).get(self.word)
        if known is None or not known[0].is_default(getattr(node.layer, self.field)):
            return False
        letter = known[0].role.letter
        pattern = rf"\b{self.field}\b" + (rf"|\b{letter}\d" if letter else "")
        return re.search(pattern, node.span.text) is None

    def add(self, layer: Layer) -> Layer:
        changed: Layer = replace(layer, **{self.field: self.value})  # type: ignore[type-var]
        return changed


_SAME = _Flag("same", "padding", "same")
_CEIL = _Flag("ceil", "ceil_mode", True)


def _which(changed: Mapping[int, Layer], nodes: Sequence[Node]) -> str:
    """The layer's text, and the same padding as a number if all sides get as much."""
    node = nodes[min(changed)]
    layer, x = changed[node.id], nodes[node.inputs[0]].volume
    window = layer.reads((x,))[0]
    sides = pad_sides("same", x, window.kernel, window.stride, (1,) * x.rank)
    numbers = {number for side in sides for number in side}
    number = f", or `p{numbers.pop()}`," if len(numbers) == 1 else ""
    return f"{number} to `{' '.join(node.span.text.split())}`"


def _ancestors(id: int, nodes: Sequence[Node]) -> set[int]:
    found: set[int] = set()
    pending = [id]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(nodes[node].inputs)
    return found


def _change_branch(
    end: int, wanted: tuple[int, ...], own: set[int], nodes: Sequence[Node], flag: _Flag
) -> dict[int, Layer] | None:
    """The fewest layers that need a flag to give a branch the wanted sizes: the first found."""
    if len(own) > MAX_BRANCH:
        return None
    groups: dict[Span, list[int]] = {}
    for id in sorted(own, reverse=True):
        if flag.is_missing(nodes[id]):
            groups.setdefault(nodes[id].span, []).append(id)
    # What is written for layers outside the branch, too, would change there as well.
    outside = {node.span for node in nodes[1:] if node.id not in own}
    spans = [span for span in groups if span not in outside][:MAX_TRIED]
    for count in range(1, len(spans) + 1):
        for chosen in combinations(spans, count):
            changed = {id: flag.add(nodes[id].layer) for span in chosen for id in groups[span]}
            if _reaches(end, wanted, changed, nodes):
                return changed
    return None


def _reaches(
    end: int, wanted: tuple[int, ...], changed: Mapping[int, Layer], nodes: Sequence[Node]
) -> bool:
    try:
        return _infer_again(changed, nodes)[end].sizes[: len(wanted)] == wanted
    except LayerError:
        return False


def _infer_again(changed: Mapping[int, Layer], nodes: Sequence[Node]) -> dict[int, Volume]:
    """The volumes of all nodes with some of the layers changed."""
    first = min(changed)
    volumes = {node.id: node.volume for node in nodes[:first]}
    for node in nodes[first:]:
        layer = changed.get(node.id, node.layer)
        volumes[node.id] = layer.infer(tuple(volumes[id] for id in node.inputs))
    return volumes


def _places(changed: Mapping[int, Layer], nodes: Sequence[Node]) -> Iterator[Span]:
    """Where the changed layers are written, each place once."""
    yield from dict.fromkeys(nodes[id].span for id in sorted(changed))
