"""Darknet's configurations (``.cfg``) and weights (``.weights``), as a graph and its judge.

Read as pjreddie/darknet (commit 002177d) and AlexeyAB/darknet (0d0144e) read them in
``src/parser.c``; where both know a section, they agree in what is read here, except for

- the ε of batch normalization: 1e-5 beside the variance in AlexeyAB's code and in the code for GPUs
  of both; pjreddie's code for CPUs adds 1e-6 to the standard deviation instead. Weights are trained
  on GPUs, so 1e-5 it is;
- the weight of a new batch in the running statistics: 0.01, in both on GPUs;
- the default of dropout, which is pjreddie's here.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from archdsl.importing.building import (
    MAX_SIZE,
    Faults,
    GraphBuilder,
    RandomWeights,
    UnknownResult,
    convolution,
)
from archdsl.importing.errors import Refused
from archdsl.importing.files import FileSource, State
from archdsl.importing.from_darknet.cfg import BadOption, CfgSection, read_sections, shorten
from archdsl.importing.from_darknet.judge import DarknetNet
from archdsl.importing.from_darknet.options import ACTIVATIONS, HEADS, NAMES, OPTIONS
from archdsl.importing.from_darknet.weights import load_darknet
from archdsl.importing.graph import INPUT
from archdsl.layers import Layer, LayerError, activation
from archdsl.layers.dense import FullyConnected
from archdsl.layers.merge import Add, Concat, Multiply
from archdsl.layers.norm import BatchNorm
from archdsl.layers.plumbing import Reshape, Upsample
from archdsl.layers.pool import GlobalAveragePool, MaxPool
from archdsl.layers.rearrangement import ChannelShuffle, PixelUnshuffle, Slice
from archdsl.layers.regularization import Dropout
from archdsl.layers.volume import Volume
from archdsl.layers.windows import pad_sides

_EPS, _MOMENTUM = 1e-5, 0.01


def read_darknet(text: str, name: str, weights: bytes | None) -> FileSource:
    """The network of a configuration, with the weights of a file or random ones.

    What `[yolo]`, `[region]` and `[detection]` read is a result, and so is the last layer's.

    Errors:
        WrongSource: what is no configuration, and weights that are not those of this one.
        NotInTheLanguage: all that the language cannot say, each with its line.
    """
    faults = Faults(name)
    sections = read_sections(text, faults)
    input = _input(sections, faults)
    faults.raise_any()
    layers = sections[1:]
    reader = _CfgReader(name, layers, input, faults)
    results = {f"head{number}": reader.result(end) for number, end in enumerate(reader.ends, 1)}
    graph, numbers = reader.builder.finish(results)
    owners = {
        section: tuple(numbers[of] for of in found)
        for section, found in reader.owners.items()
        if all(of in numbers for of in found)
    }
    state: State = RandomWeights(graph)
    if weights is not None:
        state = load_darknet(weights, name, reader.weights(), numbers)
    net = DarknetNet(layers, owners, tuple(reader.ends))
    return FileSource(graph, state, net, "Darknet's rules", weights is not None)


def _input(sections: list[CfgSection], faults: Faults) -> Volume:
    """The volume that the first section gives."""
    nothing = Volume.image(1, 1, 1)
    if not sections:
        if not faults.wrong:
            faults.wrong.append("it has no sections: is it a configuration of Darknet?")
        return nothing
    net = sections[0]
    if NAMES.get(net.name, net.name) != "net":
        faults.wrong.append(f"{net.place}: the first section has to be `[net]`")
        return nothing
    try:
        sizes = [net.integer(key, None, 1) for key in ("height", "width", "channels")]
    except BadOption as fault:
        faults.wrong.append(str(fault))
        return nothing
    return Volume.image(*sizes)


class _CfgReader:
    """Turns sections into operations."""

    def __init__(
        self, name: str, sections: list[CfgSection], input: Volume, faults: Faults
    ) -> None:
        self.sections = sections
        self.builder = GraphBuilder(name, {"": input})
        #: The operation that gives each section's result; None where layers can read none.
        self.results: list[int | None] = []
        #: The sections whose results are those of the network; -1 is its input.
        self.ends: list[int] = []
        #: The operations with weights, by section.
        self.owners: dict[int, list[int]] = {}
        for index, section in enumerate(sections):
            section.name = NAMES.get(section.name, section.name)
            result = None
            try:
                result = self._read(index, section)
            except BadOption as fault:
                faults.wrong.append(str(fault))
            except (Refused, LayerError) as fault:
                faults.reasons.append(f"{section.place}: {fault}")
            except UnknownResult:
                pass
            self.results.append(result)
        faults.raise_any()
        self._end_last()
        if any(self.result(end) == INPUT for end in self.ends):
            faults.wrong.append("a result is the input itself, which no layer has changed")
            faults.raise_any()

    def _end_last(self) -> None:
        """The last layer's result is the network's, too."""
        computing = [i for i, s in enumerate(self.sections) if s.name not in HEADS | {"cost"}]
        last = computing[-1] if computing else INPUT
        if all(self.result(end) != self.result(last) for end in self.ends):
            self.ends.append(last)

    def result(self, section: int) -> int:
        found = INPUT if section == INPUT else self.results[section]
        assert found is not None, "a section without a result was refused"
        return found

    def weights(self) -> list[tuple[int, Layer, Volume]]:
        """The operations with weights in the order of a file of weights, with their inputs."""
        owned = chain.from_iterable(self.owners.values())
        operations = [self.builder.operations[of] for of in owned]
        return [(o.id, o.layer, self.builder.volume(o.inputs[0])) for o in operations]

    # ── Sections ─────────────────────────────────────────────────────────────────────────────

    def _read(self, index: int, section: CfgSection) -> int | None:
        """The result of a section. What it does with its options is told even where its input is
        unknown."""
        if section.name in HEADS | {"cost"}:
            if section.name in HEADS:
                self._earlier(index, section)
                self.ends.append(index - 1)
            return None
        if section.name not in OPTIONS:
            raise Refused("there is no such layer in the language")
        others = [*section.others(OPTIONS[section.name])]
        if others:
            shown = ", ".join(f"`{key}={shorten(value)}` (line {at})" for key, value, at in others)
            raise Refused(f"{shown} is not in the language")
        reads: Callable[[int, CfgSection], int] = getattr(self, f"_on_{section.name}")
        return reads(index, section)

    def _earlier(self, index: int, section: CfgSection, at: int | None = None) -> int:
        """The result of the section before, or of the one with this number."""
        at = index - 1 if at is None else at
        if at == INPUT:
            return INPUT
        result = self.results[at]
        if result is not None:
            return result
        name = self.sections[at].name
        if name in HEADS | {"cost"}:
            raise Refused(f"it reads what `[{name}]` computes, which is no layer")
        raise UnknownResult

    def _listed(self, index: int, section: CfgSection, key: str) -> list[int]:
        """The results of the sections that an option lists: counted from the first, or back."""
        found = []
        for number in section.integers(key):
            at = index + number if number < 0 else number
            if not 0 <= at < index:
                line = section.options[key][1]
                raise BadOption(f"line {line}: `{key}={number}` is no earlier layer")
            found.append(at)
        return [self._earlier(index, section, at) for at in found]

    def _image(self, of: int) -> int:
        """A result as an image: Darknet's vectors are images with one position."""
        x = self.builder.volume(of)
        return self.builder.add(Reshape((1, 1, x.channels)), of) if x.is_vector else of

    def _weighted(self, index: int, layer: Layer, x: int) -> int:
        made = self.builder.add(layer, x)
        self.owners.setdefault(index, []).append(made)
        return made

    def _activated(self, section: CfgSection, x: int, default: str) -> int:
        name = section.text("activation", default)
        if name not in ACTIVATIONS:
            raise Refused(f"the activation `{shorten(name)}` is not in the language")
        layer = ACTIVATIONS[name]
        return x if layer is None else self.builder.add(layer(), x)

    def _on_convolutional(self, index: int, section: CfgSection) -> int:
        kernel = section.integer("size", 1, 1)
        strides = _strides(section)
        padding = section.integer("padding", 0)
        if section.integer("pad", 0):
            padding = kernel // 2
        dilation = section.integer("dilation", 1, 1) if kernel > 1 else 1
        channels, groups = section.integer("filters", 1, 1), section.integer("groups", 1, 1)
        has_bn = bool(section.integer("batch_normalize", 0))
        x = self._image(self._earlier(index, section))
        for size, stride in zip(self.builder.volume(x).spatial, strides, strict=True):
            # Darknet works out the size of the result without dilation.
            reach = dilation * (kernel - 1) + 1
            room, dilated = size + 2 * padding - kernel, size + 2 * padding * dilation - reach
            if room // stride != dilated // stride:
                raise Refused(
                    f"`dilation={dilation}` with a padding of {padding} gives another size than "
                    "its convolution has"
                )
        layer = convolution(
            self.builder.volume(x),
            (kernel, kernel),
            channels,
            strides,
            (padding * dilation,) * 2,
            (dilation,) * 2,
            groups,
            bias=not has_bn,
        )
        x = self._weighted(index, layer, x)
        if has_bn:
            x = self._weighted(index, BatchNorm(_EPS, _MOMENTUM), x)
        return self._activated(section, x, "logistic")

    def _on_connected(self, index: int, section: CfgSection) -> int:
        has_bn = bool(section.integer("batch_normalize", 0))
        layer = FullyConnected(section.integer("output", 1, 1), bias=not has_bn)
        x = self._weighted(index, layer, self._earlier(index, section))
        if has_bn:
            x = self._weighted(index, BatchNorm(_EPS, _MOMENTUM), x)
        return self._activated(section, x, "logistic")

    def _on_maxpool(self, index: int, section: CfgSection) -> int:
        strides = _strides(section)
        kernel = section.integer("size", section.integer("stride", 1, 1), 1)
        padding = section.integer("padding", kernel - 1)
        x = self._image(self._earlier(index, section))
        return self.builder.add(_max_pool(self.builder.volume(x), kernel, strides, padding), x)

    def _on_avgpool(self, index: int, section: CfgSection) -> int:
        return self.builder.add(GlobalAveragePool(), self._image(self._earlier(index, section)))

    def _on_dropout(self, index: int, section: CfgSection) -> int:
        rate = section.number("probability", 0.5)
        if not 0 <= rate < 1:
            line = section.options["probability"][1]
            raise BadOption(f"line {line}: `probability` is at least 0 and below 1, not {rate:g}")
        return self.builder.add(Dropout(rate), self._earlier(index, section))

    def _on_softmax(self, index: int, section: CfgSection) -> int:
        is_spatial = bool(section.number("spatial", 0))
        x = self._earlier(index, section)
        if self.builder.volume(x).positions > 1 and not is_spatial:
            raise Refused("a softmax over all positions at once is not in the language")
        return self.builder.add(activation.Softmax(), x)

    def _on_shortcut(self, index: int, section: CfgSection) -> int:
        others = self._listed(index, section, "from")
        x = self.builder.add(Add(), self._earlier(index, section), *others)
        return self._activated(section, x, "linear")

    def _on_scale_channels(self, index: int, section: CfgSection) -> int:
        factor = self._image(self._earlier(index, section))
        return self._multiplied(index, section, factor, is_factor=True)

    def _on_sam(self, index: int, section: CfgSection) -> int:
        return self._multiplied(index, section, self._earlier(index, section), is_factor=False)

    def _multiplied(self, index: int, section: CfgSection, factor: int, is_factor: bool) -> int:
        name = section.text("activation", "linear")
        if name in ("swish", "mish"):
            raise Refused(f"Darknet does not apply `{name}` here")
        listed = self._listed(index, section, "from")
        if len(listed) > 1:
            raise BadOption(f"line {section.options['from'][1]}: `from` is a single layer")
        x, wanted = listed[0], self.builder.volume(listed[0])
        if is_factor:
            wanted = Volume.image(1, 1, wanted.channels)
        if self.builder.volume(factor) != wanted:
            raise Refused(f"its input has to be {wanted}, not {self.builder.volume(factor)}")
        return self._activated(section, self.builder.add(Multiply(), x, factor), "linear")

    def _on_route(self, index: int, section: CfgSection) -> int:
        groups, group = section.integer("groups", 1, 1), section.integer("group_id", 0)
        if group >= groups:
            raise BadOption(f"{section.place}: there is no group {group} of {groups}")
        parts = []
        for of in self._listed(index, section, "layers"):
            channels = self.builder.volume(of).channels
            if channels % groups:
                raise BadOption(
                    f"{section.place}: {channels} channels are no {groups} equal groups"
                )
            size = channels // groups
            part = Slice(group * size, (group + 1) * size)
            parts.append(of if groups == 1 else self.builder.add(part, of))
        return parts[0] if len(parts) == 1 else self.builder.add(Concat(), *parts)

    def _on_upsample(self, index: int, section: CfgSection) -> int:
        stride = section.integer("stride", 2, -MAX_SIZE)
        if stride < 1:
            raise Refused("an upsampling by less than 1 is not in the language")
        x = self._image(self._earlier(index, section))
        return x if stride == 1 else self.builder.add(Upsample((stride, stride)), x)

    def _on_reorg(self, index: int, section: CfgSection) -> int:
        """Darknet sees the input's numbers as a larger image, and takes that apart.

        Its order is that of `pixelunshuffle` with the offsets before the channels, and the numbers
        are at last seen as a smaller image with all channels of both.
        """
        s = section.integer("stride", 1, 1)
        x = self._image(self._earlier(index, section))
        volume = self.builder.volume(x)
        fewer = volume.channels // s**2
        if volume.channels % s**2 or any(size % s for size in volume.spatial):
            raise BadOption(f"{section.place}: a stride of {s} does not divide {volume}")
        if s == 1:
            return x
        height, width = volume.spatial
        x = self.builder.add(Reshape((height * s, width * s, fewer)), x)
        x = self.builder.add(PixelUnshuffle(s), x)
        if fewer > 1:
            x = self.builder.add(ChannelShuffle(fewer), x)
        return self.builder.add(Reshape((height // s, width // s, volume.channels * s**2)), x)

    def _on_activation(self, index: int, section: CfgSection) -> int:
        return self._activated(section, self._earlier(index, section), "linear")


def _strides(section: CfgSection) -> tuple[int, int]:
    """Along height and width."""
    both = section.integer("stride", 1, 1)
    return section.integer("stride_y", both, 1), section.integer("stride_x", both, 1)


def _max_pool(x: Volume, kernel: int, strides: tuple[int, int], padding: int) -> Layer:
    """Darknet's pool: half of the padding is before the input; the rest is whatever is read."""
    before = padding // 2
    wanted = []
    for size, stride in zip(x.spatial, strides, strict=True):
        out = (size + padding - kernel) // stride + 1
        if out < 1:
            raise Refused(f"a window of {kernel} does not fit into {x}")
        if before >= kernel or (out - 1) * stride - before >= size:
            raise Refused(f"with a padding of {padding} some windows see nothing of {x}")
        wanted.append(out)
    steps = None if strides == (kernel, kernel) else strides
    window = (kernel, kernel)
    for made in (
        MaxPool(window, steps, (before, before)),
        MaxPool(window, steps, (before, before), ceil_mode=True),
        MaxPool(window, steps, "same"),
    ):
        layer = made.fitted((x,))
        sides = pad_sides(layer.padding, x, window, strides, (1, 1))
        try:
            fits = layer.infer_volume(x).spatial == tuple(wanted)
        except LayerError:
            continue
        if fits and all(side[0] == before for side in sides):
            return layer
    raise Refused(f"a padding of {padding} for a window of {kernel} is not in the language")
