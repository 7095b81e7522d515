"""Names of Caffe's layers as paths: `inception_3a/1x1` is a layer in a part `inception_3a`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from archdsl.importing.building import GraphBuilder
from archdsl.importing.graph import SourcePart

_Names = tuple[str, ...]


def name_operations(builder: GraphBuilder, names: Mapping[int, str]) -> None:
    """Give operations paths and parts, by the names of their layers.

    Slashes separate parts. A layer that is called like a part, as `conv1` beside `conv1/bn`, is in
    it. A part holds at least two layers, one of them with weights.
    """
    operations = builder.operations
    written = {of: _split(name) for of, name in names.items()}
    # A name that can be no attribute, such as `1x1`, is said after the word of its layer.
    words = {name: operations[of].layer.name for of, name in reversed(written.items())}
    outer = {name[:depth] for name in written.values() for depth in range(1, len(name))}
    for of, name in written.items():
        if name in outer:
            written[of] = (*name, operations[of].layer.name)
    inner: Counter[_Names] = Counter()
    weighted: set[_Names] = set()
    for of, name in written.items():
        prefixes = [name[:depth] for depth in range(1, len(name))]
        inner.update(prefixes)
        if operations[of].state:
            weighted.update(prefixes)
    is_part = {name for name in weighted if inner[name] > 1}
    taken: set[str] = set()
    for of, name in written.items():
        spelled = [_spelled(name[: i + 1], words) for i, _ in enumerate(name)]
        scopes = tuple(
            SourcePart(".".join(spelled[:depth]), _kind(spelled[depth - 1]))
            for depth in range(1, len(name))
            if name[:depth] in is_part
        )
        path = stem = ".".join(spelled)
        number = 2
        while operations[of].state and path in taken:
            path, number = f"{stem}_{number}", number + 1
        if operations[of].state:
            taken.add(path)
        builder.name_operation(of, path, scopes)


def _split(name: str) -> _Names:
    return tuple(part for part in name.split("/") if part) or ("layer",)


def _spelled(name: _Names, words: Mapping[_Names, str]) -> str:
    """The last part of a name as an identifier."""
    part = re.sub(r"\W", "_", name[-1], flags=re.ASCII)
    return part if not part[0].isdecimal() else f"{words.get(name, 'part')}{part}"


def _kind(part: str) -> str:
    """What parts of the same kind are called: a name without its numbers."""
    return re.sub(r"_?\d+(x\d+)?[a-z]?(?=_|$)", "", part).strip("_") or "part"
