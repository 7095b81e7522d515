"""What torch says about a network's numbers."""

from __future__ import annotations

from archdsl.layers.volume import Volume
from archdsl.records import dataclass
from archdsl.text.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Numbers:
    """Tensors of a module that were compared with those of the Model's graph, run node by node.

    ``outputs`` counts the outputs in training (of the heads, too), in evaluation, and of the module
    for inference. ``input`` and ``images`` are what the networks were run on, with the channels of
    all layers divided by ``divisor``; ``others`` are the volumes of the inputs after the first.
    """

    input: Volume
    images: int
    divisor: int
    outputs: int
    gradients: int
    buffers: int
    others: tuple[Volume, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """What torch found in the module of a network, and where that differs from the Model.

    ``volumes`` counts the layers whose volume torch has shown; parameters and MACs are torch's, for
    one image, those of the auxiliary heads included. ``numbers`` is None where none were compared,
    and ``omitted`` says why.
    """

    torch: str
    volumes: int
    parameters: int
    macs: int
    numbers: Numbers | None
    omitted: str
    diagnostics: tuple[Diagnostic, ...]

    @property
    def holds(self) -> bool:
        return not self.diagnostics
