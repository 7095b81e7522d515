"""What a block's parameter is called in a table: ``#3×3 reduce``, derived from its branches."""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.drawing.tables.trunk import kernel_of, size_text
from archdsl.layers import Family
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.parts import CallPart, Chain, ForkPart, LayerPart, chains_in
from archdsl.network.symbols import Parameter


def headings_of(model: Model, call: CallPart) -> dict[str, str]:
    """By parameter, its heading where it is the channels of one convolution in a branch.

    The last convolution of a branch is ``#3×3``, one before it ``#3×3 reduce``, one after a
    pooling ``pool proj``: the headings of GoogLeNet's table. Other parameters have none, nor have
    those for which two of these apply.
    """
    names = {argument.name for argument in call.arguments}
    found: dict[str, set[str]] = {}
    for branch in _branches_in(call.body):
        row = [model.nodes[id] for id in _row_of(branch)]
        for number, node in enumerate(row):
            name = _channels_of(node)
            if name in names and node.layer.family is Family.CONVOLUTION:
                found.setdefault(name, set()).add(_heading(model, row, number))
    return {name: texts.pop() for name, texts in found.items() if len(texts) == 1}


def _heading(model: Model, row: list[Node], number: int) -> str:
    if any(node.layer.family is Family.POOLING for node in row[:number]):
        return "pool proj"
    later = [node for node in row[number + 1 :] if node.layer.family is Family.CONVOLUTION]
    kernel = size_text(kernel_of(model, later[0] if later else row[number]))
    return f"#{kernel} reduce" if later else f"#{kernel}"


def _channels_of(node: Node) -> str | None:
    """The parameter that a layer's channels are written as, if that is all they are."""
    for name, symbolic in node.forms:
        if name == "out_channels" and isinstance(symbolic.form, Parameter):
            return symbolic.form.name
    return None


def _branches_in(chain: Chain) -> Iterator[Chain]:
    """The branches in a block, those within branches too; blocks inside have their own."""
    for part in chain.parts:
        if isinstance(part, ForkPart):
            yield from part.branches
        if not isinstance(part, CallPart):
            for inner in chains_in(part):
                yield from _branches_in(inner)


def _row_of(chain: Chain) -> Iterator[int]:
    """The layers in line on a branch."""
    for part in chain.parts:
        if isinstance(part, LayerPart):
            yield part.node
        elif not isinstance(part, (CallPart, ForkPart)):
            for inner in chains_in(part):
                yield from _row_of(inner)
