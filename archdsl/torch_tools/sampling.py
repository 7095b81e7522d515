"""What a network is run on to compare its numbers; a large network is made smaller for that.

The same text is compared, with the same layers in the same places. Volumes and parameters of the
network in its real size are compared on the meta device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any

from torch import nn

from archdsl.deployment import deploy
from archdsl.layers import Call, LayerError, UnaryLayer
from archdsl.layers.norm import BatchNorm
from archdsl.layers.volume import Volume
from archdsl.model import Model

#: Layers of torch that can have fewer channels, and the arguments that count them.
_WIDTHS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv1d: ("in_channels", "out_channels", "groups"),
    nn.Conv2d: ("in_channels", "out_channels", "groups"),
    nn.Conv3d: ("in_channels", "out_channels", "groups"),
    nn.ConvTranspose1d: ("in_channels", "out_channels", "groups"),
    nn.ConvTranspose2d: ("in_channels", "out_channels", "groups"),
    nn.ConvTranspose3d: ("in_channels", "out_channels", "groups"),
    nn.Linear: ("in_features", "out_features"),
    nn.BatchNorm1d: ("num_features",),
    nn.BatchNorm2d: ("num_features",),
    nn.BatchNorm3d: ("num_features",),
}
#: What channels are divided by, where a network is narrowed.
NARROWED = 8


@dataclass(frozen=True, slots=True)
class Effort:
    """What it takes to run a network on one image."""

    macs: int
    activations: int
    parameters: int

    @property
    def is_long(self) -> bool:
        return self.macs > 10**8 or self.activations > 2 * 10**6

    @property
    def is_large(self) -> bool:
        """Whether a smaller network is worthwhile."""
        return self.is_long or self.parameters > 10**7

    @property
    def is_too_large(self) -> bool:
        """Whether it would take minutes, or more memory than a laptop has."""
        return self.macs > 10**10 or self.activations > 2 * 10**8 or self.parameters > 15 * 10**7


@dataclass(frozen=True, slots=True)
class Sample:
    """Images of some volume, and what the channels of the layers are divided by.

    ``others`` are the volumes of the inputs after the first.
    """

    input: Volume
    images: int = 2
    divisor: int = 1
    others: tuple[Volume, ...] = ()

    @property
    def inputs(self) -> tuple[Volume, ...]:
        return (self.input, *self.others)


def whole_sample(model: Model, divisor: int = 1) -> Sample:
    """Images of the volumes that the network is for."""
    first, *others = (node.volume for node in model.inputs)
    return Sample(first, divisor=divisor, others=tuple(others))


def choose_sample(model: Model) -> Sample | str:
    """The images on which a network's numbers are compared, or why they are not.

    A small network is run as it is. The channels of a large one are divided, where that leaves
    it the same otherwise. Then its input is halved for as long as its layers remain the same
    modules, as those before a global pool do. If it still takes long, there is only one image,
    unless a layer is normalized over the batch.
    """
    chosen = whole_sample(model)
    effort = _effort(model, [node.volume for node in model.nodes], chosen.divisor)
    if effort.is_large and _narrows(model) and _narrows(deploy(model).model):
        less = _effort(model, [node.volume for node in model.nodes], NARROWED)
        if less != effort:
            chosen, effort = whole_sample(model, NARROWED), less
    sizes = chosen.inputs
    while effort.is_long and all(min(size.spatial, default=1) >= 4 for size in sizes):
        sizes = tuple(Volume.along([n // 2 for n in size.spatial], size.channels) for size in sizes)
        volumes = _volumes_at(model, sizes)
        if volumes is not None:
            chosen = Sample(sizes[0], divisor=chosen.divisor, others=sizes[1:])
            effort = _effort(model, volumes, chosen.divisor)
    if effort.is_too_large:
        return f"it takes {effort.macs:,} MACs an image, with {effort.parameters:,} parameters"
    is_coupled = any(isinstance(node.layer, BatchNorm) for node in model.layers)
    images = 1 if effort.is_long and not is_coupled else 2
    first, *others = (_narrow(size, chosen.divisor) for size in chosen.inputs)
    return Sample(first, images, chosen.divisor, tuple(others))


def _effort(model: Model, volumes: Sequence[Volume], divisor: int) -> Effort:
    """Roughly what the layers of a network take with these volumes."""
    macs = activations = parameters = 0
    for node in model.layers:
        volume = volumes[node.id]
        share = volume.channels // narrowed_width(volume.channels, divisor)
        activations += volume.elements // share
        if node.inputs:
            x = volumes[node.inputs[0]]
            share *= x.channels // narrowed_width(x.channels, divisor)
            macs += node.layer.macs_of(tuple(volumes[source] for source in node.inputs)) // share
            parameters += model.costs[node.id].parameters // share
    return Effort(macs, activations, parameters)


def _volumes_at(model: Model, sizes: Sequence[Volume]) -> list[Volume] | None:
    """The volumes for inputs of other sizes; None where that needs other modules."""
    volumes = [*sizes]
    for node in model.layers:
        inputs = tuple(volumes[source] for source in node.inputs)
        try:
            volumes.append(node.layer.infer(inputs))
        except LayerError:
            return None
        if isinstance(node.layer, UnaryLayer):
            own = model.nodes[node.inputs[0]].volume
            if node.layer.emit(inputs[0]) != node.layer.emit(own):
                return None
    return volumes


# ── Fewer channels ───────────────────────────────────────────────────────────────────────────


def narrowed_width(channels: int, divisor: int) -> int:
    """A number of channels divided by the divisor, or unchanged where it is not divisible."""
    return channels if channels % divisor else channels // divisor


def _narrow(volume: Volume, divisor: int) -> Volume:
    return volume.with_channels(narrowed_width(volume.channels, divisor))


def _narrows(model: Model) -> bool:
    """Whether a network is the same with divided channels, except for arguments of ``_WIDTHS``."""
    for node in model.layers:
        inputs = tuple(model.nodes[source].volume for source in node.inputs)
        narrowed = tuple(_narrow(volume, NARROWED) for volume in inputs)
        if isinstance(node.layer, UnaryLayer):
            emitted = node.layer.emit(inputs[0])
            if _has_widths(emitted):
                if not _keeps_groups(emitted):
                    return False
                x = Volume.vector(inputs[0].elements) if node.layer.flattens else inputs[0]
                if _narrow(x, NARROWED).elements != narrowed[0].elements:
                    return False
                continue
            if node.layer.emit(narrowed[0]) != emitted:
                return False
        try:
            if node.layer.infer(narrowed) != _narrow(node.volume, NARROWED):
                return False
        except LayerError:
            return False
    return True


def _has_widths(emitted: Call) -> bool:
    """Whether a call makes a layer of ``_WIDTHS``, perhaps after one that pads."""
    return all(one.callee in _PADDED for one in _calls_of(emitted))


def _keeps_groups(emitted: Call) -> bool:
    """Whether the divided channels of a convolution can be split into its divided groups."""
    for one in _calls_of(emitted):
        groups = next((arg.value for arg in one.args if arg.keyword == "groups"), 1)
        assert isinstance(groups, int)
        split = narrowed_width(groups, NARROWED)
        channels = [arg.value for arg in one.args[:2] if isinstance(arg.value, int)]
        if any(narrowed_width(count, NARROWED) % split for count in channels):
            return False
    return True


def _calls_of(emitted: Call) -> tuple[Call, ...]:
    if emitted.callee != "nn.Sequential":
        return (emitted,)
    return tuple(arg.value for arg in emitted.args if isinstance(arg.value, Call))


_PADDED = {
    *(f"nn.{kind.__name__}" for kind in _WIDTHS),
    *(f"nn.ZeroPad{rank}d" for rank in (1, 2, 3)),
}


@contextmanager
def narrowed(divisor: int) -> Iterator[None]:
    """Build layers of torch with divided channels."""
    before = {kind: kind.__init__ for kind in _WIDTHS}
    try:
        for kind, init in before.items():
            kind.__init__ = _narrowing(init, _WIDTHS[kind], divisor)  # type: ignore[method-assign]
        yield
    finally:
        for kind, init in before.items():
            kind.__init__ = init  # type: ignore[method-assign]


def _narrowing(init: Callable[..., None], names: Sequence[str], divisor: int) -> Any:
    parameters = signature(init)

    @wraps(init)
    def construct(*args: Any, **keywords: Any) -> None:
        given = parameters.bind(*args, **keywords)
        for name in names:
            if name in given.arguments:
                given.arguments[name] = narrowed_width(given.arguments[name], divisor)
        init(*given.args, **given.kwargs)

    return construct
