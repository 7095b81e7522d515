"""The results of all layers for one image, by the nodes of the Model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.layers import MergeLayer, UnaryLayer
from archdsl.looking.errors import LookingError
from archdsl.looking.specimen import Specimen
from archdsl.network.graph import Node
from archdsl.torch_tools.interpret import join


@dataclass(frozen=True)
class Activations:
    """What each node of the trunk gives for one image, and what the network says of it.

    ``values`` are without the axis of the batch: C×H×W of an image, and C of a vector. So is the
    ``answer``, in the terms of the network's task: the probability of each class, K, or of each
    class in each pixel, K×h×w; of an autoencoder, pixels from 0 to 1; else numbers.
    """

    image: Tensor
    values: dict[int, Tensor]
    answer: Tensor

    @property
    def probabilities(self) -> Tensor:
        """The answer of a network that tells classes of images apart."""
        return self.answer


@torch.inference_mode()
def record_activations(specimen: Specimen, image: Tensor) -> Activations:
    """Run the network on an image, float32 C×H×W, and take down what each layer gives.

    The modules are watched by hooks, which are taken off afterwards; nothing in them changes. A
    merge is an expression of ``forward`` and no module: its result is computed from its branches.

    Errors:
        LookingError: where the module does not compute what the spec says.
    """
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def recorder(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(_module: nn.Module, inputs: Any, output: Any) -> None:
            calls.setdefault(name, []).append((inputs[0], output))

        return record

    model = specimen.model
    names = {
        model.names[node.module] for node in model.layers if isinstance(node.layer, UnaryLayer)
    }
    handles = [
        specimen.network.get_submodule(name).register_forward_hook(recorder(name))
        for name in sorted(names)
    ]
    try:
        answer = specimen.finished.answers(image[None])[0]
    finally:
        for handle in handles:
            handle.remove()
    values = {model.inputs[0].id: image[None]}
    for node in model.layers:
        if node.head is None:
            values[node.id] = _result(specimen, node, values, calls)
    inner = {id: value[0] for id, value in values.items()}
    return Activations(image, inner, answer)


def _result(
    specimen: Specimen,
    node: Node,
    values: dict[int, Tensor],
    calls: dict[str, list[tuple[Tensor, Tensor]]],
) -> Tensor:
    inputs = [values[id] for id in node.inputs]
    if isinstance(node.layer, MergeLayer):
        return join(node.layer, inputs)
    name = specimen.model.names[node.module]
    left = calls.get(name, [])
    # A module that is used several times may run in another order than the spec has it.
    for index, (taken, given) in enumerate(left):
        if len(left) == 1 or _is_same(taken, inputs[0]):
            if given.shape[1:] != node.volume.torch_sizes:
                break
            del left[index]
            return given
    raise LookingError(
        f"{specimen.finished.run.module} is not the network of {specimen.model.path}: "
        f"`{name}` does not give {node.volume}"
    )


def _is_same(taken: Tensor, x: Tensor) -> bool:
    return taken is x or (taken.numel() == x.numel() and torch.equal(taken.flatten(), x.flatten()))
