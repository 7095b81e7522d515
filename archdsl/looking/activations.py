"""The results of all layers for one image, by the nodes of the Model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.layers import MergeLayer, UnaryLayer
from archdsl.looking.errors import LookingError
from archdsl.looking.specimen import Specimen
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


@dataclass(frozen=True)
class Results:
    """What a network gives for images, N×C×H×W: ``values`` of each node of its trunk, and answers.

    ``order`` says which call of its module, from 0, the result of a layer comes from: a module that
    is used several times may run in another order than the spec has it.
    """

    values: dict[int, Tensor]
    answers: Tensor
    order: dict[int, int]


@torch.inference_mode()
def record_activations(specimen: Specimen, image: Tensor) -> Activations:
    """Run the network on an image, float32 C×H×W, and take down what each layer gives.

    Errors:
        LookingError: where the module does not compute what the spec says.
    """
    results = watch(specimen, image[None])
    inner = {id: value[0] for id, value in results.values.items()}
    return Activations(image, inner, results.answers[0])


def watch(specimen: Specimen, images: Tensor, order: Mapping[int, int] | None = None) -> Results:
    """Run the network, and take down what each layer gives.

    The modules are watched by hooks, which are taken off afterwards; nothing in them changes. A
    merge is an expression of ``forward`` and no module: its result is computed from its branches.
    With the ``order`` of an earlier run no numbers are compared, so that torch can trace this.

    Errors:
        LookingError: where the module does not compute what the spec says.
    """
    calls: dict[str, list[_Call]] = {}

    def recorder(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(_module: nn.Module, inputs: Any, output: Any) -> None:
            found = calls.setdefault(name, [])
            found.append(_Call(len(found), inputs[0], output))

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
        answers = specimen.finished.answers(images)
    finally:
        for handle in handles:
            handle.remove()
    values = {model.inputs[0].id: images}
    found: dict[int, int] = {}
    for node in model.layers:
        if node.head is not None:
            continue
        inputs = [values[id] for id in node.inputs]
        if isinstance(node.layer, MergeLayer):
            values[node.id] = join(node.layer, inputs)
            continue
        left = calls.get(model.names[node.module], [])
        call = _call_of(left, inputs[0], None if order is None else order[node.id])
        if call is None or call.given.shape[1:] != node.volume.torch_sizes:
            raise LookingError(
                f"{specimen.finished.run.module} is not the network of {model.path}: "
                f"`{model.names[node.module]}` does not give {node.volume}"
            )
        left.remove(call)
        values[node.id], found[node.id] = call.given, call.place
    return Results(values, answers, found)


@dataclass(frozen=True, eq=False)
class _Call:
    """A call of a module: which one it was, what it took, and what it gave."""

    place: int
    taken: Tensor
    given: Tensor


def _call_of(left: Sequence[_Call], x: Tensor, place: int | None) -> _Call | None:
    """Of the calls that belong to no layer yet that at a place, or else that which took ``x``."""
    if place is not None:
        return next((call for call in left if call.place == place), None)
    if len(left) == 1:
        return left[0]
    return next((call for call in left if _is_same(call.taken, x)), None)


def _is_same(taken: Tensor, x: Tensor) -> bool:
    return taken is x or (taken.numel() == x.numel() and torch.equal(taken.flatten(), x.flatten()))
