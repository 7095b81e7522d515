"""Recurrent layers: each position of a sequence is read with what was kept of those before."""

from __future__ import annotations

from typing import ClassVar

from archdsl.layers.call import Call, OptionalArgument, call
from archdsl.layers.fields import BOOLEAN, COUNT, attribute, positional
from archdsl.layers.layer import Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all
from archdsl.layers.tokens import need_tokens
from archdsl.layers.volume import Volume
from archdsl.records import dataclass


def _support(name: str, kind: str, doc: str) -> str:
    return f'''\
class {name}(nn.Module):
    """{doc}"""

    def __init__(
        self,
        channels: int,
        units: int,
        layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.rnn = nn.{kind}(
            channels, units, layers, bias, batch_first=True, bidirectional=bidirectional
        )

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.rnn(x.transpose(1, 2))[0]
        return states.transpose(1, 2)
'''


@dataclass(frozen=True)
class _Recurrent(UnaryLayer):
    """What the recurrent layers share: the state of each position.

    It is that of two directions, one after the other, where it is `bidirectional`. With several
    layers, each reads the states of the one before. The first position is read with a state of
    zeros.
    """

    family = Family.DENSE
    autocast = Autocast.LOWERS
    has_weights = True
    #: How many products a state takes: of its own, and of its gates.
    gates: ClassVar[int]
    #: How many numbers are carried from a position to the next, for each unit.
    states: ClassVar[int]
    #: How many are kept of each position for the backward pass.
    kept: ClassVar[int]

    units: int = positional(COUNT, "numbers that are kept")
    layers: int = attribute(COUNT, "one on top of the other", 1)
    bidirectional: bool = attribute(
        BOOLEAN, "reads from the end as well", False, words={"bidirectional": True}
    )
    bias: bool = attribute(
        BOOLEAN, "adds two numbers to each product", True, words={"nobias": False}
    )

    def infer_volume(self, x: Volume) -> Volume:
        need_tokens(x, self.name)
        return x.with_channels(self.units * self._directions)

    @property
    def _directions(self) -> int:
        return 1 + self.bidirectional

    def _weights(self, x: Volume) -> int:
        states = self.units * self._directions
        read = x.channels + states * (self.layers - 1) + self.units * self.layers
        return self._directions * self.gates * self.units * read

    def count_parameters(self, x: Volume) -> int:
        biases = 2 * self.gates * self.units * self._directions * self.layers
        return self._weights(x) + biases * self.bias

    def count_macs(self, x: Volume) -> int:
        return x.positions * self._weights(x)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Of cuDNN: the input in its order, the first states, the results of the lower layers, and
        # for each state what belongs to its gates. (Measured on an H200.)
        (x,) = inputs
        first = self.states * self.layers * out.channels
        kept = (self.layers * self.kept + self.layers - 1) * out.elements
        return Saved(output=True, numbers=x.elements + first + kept, once=256)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        layers = f" · {self.layers} layers" if self.layers > 1 else ""
        return f"{self.units}{layers}{' · bidirectional' if self.bidirectional else ''}"

    def emit(self, x: Volume) -> Call:
        return call(
            self._helper,
            x.channels,
            self.units,
            layers=OptionalArgument(self.layers, 1),
            bidirectional=OptionalArgument(self.bidirectional, False),
            bias=OptionalArgument(self.bias, True),
        )

    @property
    def _helper(self) -> str:
        return next(iter(self.helpers()))


@dataclass(frozen=True)
class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; with the forget gate of Gers 2000)."""

    name = "lstm"
    synonyms = ("bilstm",)
    gates = 4
    states = 2
    kept = 5
    examples = (
        Example("lstm 8", (6, 5)),
        Example("lstm 4 bidirectional", (6, 5)),
        Example("lstm 4 bidirectional layers=2 nobias", (3, 5)),
    )
    support = _support("Memory", "LSTM", "Long short-term memory, along a sequence.")


@dataclass(frozen=True)
class GRU(_Recurrent):
    """Gated recurrent units (Cho et al. 2014, section 2.3, with PyTorch's order of the reset)."""

    name = "gru"
    gates = 3
    states = 1
    kept = 6
    examples = (
        Example("gru 8", (6, 5)),
        Example("gru 4 bidirectional layers=2 nobias", (6, 5)),
    )
    support = _support("GatedUnits", "GRU", "Gated recurrent units, along a sequence.")
