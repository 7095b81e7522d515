"""What an importer reads, whatever it reads: layers, their inputs, and the parts around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archdsl.layers import Layer
from archdsl.layers.volume import Volume


@dataclass(frozen=True, slots=True)
class SourcePart:
    """A part that a layer is in: its path, and what it is called where it is defined."""

    path: str
    kind: str
    #: Whether it does nothing but apply what is in it, one behind the other.
    is_row: bool = False


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """A layer of the source, in execution order.

    ``inputs`` are numbers of earlier operations, or of inputs of the network. ``scopes`` are the
    parts around it, from the outermost. ``path`` is its own, empty for what is no module;
    ``state`` is whether it has weights or buffers.
    """

    id: int
    layer: Layer
    inputs: tuple[int, ...]
    volume: Volume
    scopes: tuple[SourcePart, ...] = ()
    path: str = ""
    state: bool = False
    #: Whether evaluation leaves it out.
    is_of_training: bool = False
    #: What its numbers are called in the source, where they are not those of a module at ``path``.
    keys: tuple[str, ...] = ()
    #: Whether it is one that ran before, with the same weights.
    is_again: bool = False
    #: Whether those have the channels before the positions, where the layer has them behind.
    is_turned: bool = False
    #: Buffers of the source whose numbers the layer has by what it is.
    fixed: tuple[str, ...] = ()


#: The number of the network's first input among results; the others have those below it.
INPUT = -1


def is_input(result: int) -> bool:
    """Whether a result is what flows into the network, and no operation's."""
    return result <= INPUT


@dataclass(frozen=True)
class SourceGraph:
    """A network as it was read: its name, inputs, operations, and the one that gives its output.

    ``inputs`` are in the order in which the source takes them, by what it calls them.
    """

    name: str
    inputs: Mapping[str, Volume]
    operations: tuple[SourceLayer, ...]
    output: int
    #: Results that only training returns, in the order in which it does.
    heads: tuple[int, ...] = ()
    #: The weights of their losses, where the source says them.
    head_weights: tuple[float, ...] = ()
    #: The results by name, the first of them ``output``, where there are several.
    outputs: Mapping[str, int] = field(default_factory=dict)
    #: Whether a layer adds up in another order than the source, so that bits can differ.
    is_rounded: bool = False

    @property
    def owners(self) -> dict[int, int]:
        """By operation with numbers, the one that has these: the first that runs with them."""
        firsts: dict[tuple[str, ...], int] = {}
        return {
            o.id: firsts.setdefault(o.keys, o.id) if o.keys else o.id
            for o in self.operations
            if o.state
        }

    def volume(self, result: int) -> Volume:
        """The volume of an operation's result, or of an input."""
        if is_input(result):
            return [*self.inputs.values()][INPUT - result]
        return self.operations[result].volume

    @property
    def results(self) -> tuple[int, ...]:
        """The operations that give what the network returns in evaluation."""
        return tuple(self.outputs.values()) or (self.output,)
