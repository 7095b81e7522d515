"""Which layers of a prototxt there are, and which results they read: blobs are names that layers
give to results, and give anew where they work in place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from keyword import iskeyword

from archdsl.frontend import Inputs
from archdsl.importing.building import Faults
from archdsl.importing.from_caffe.prototxt import BadText, Message
from archdsl.importing.inputs import by_name
from archdsl.layers.volume import Volume

#: What layers of the format before 2014 are called now, where that is not said by their letters.
_OLD_NAMES = {
    "ABSVAL": "AbsVal",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
    "ARGMAX": "ArgMax",
}

#: Layers that give what is not computed: images and what they show.
_SOURCES = {
    "Data",
    "ImageData",
    "MemoryData",
    "HDF5Data",
    "WindowData",
    "DummyData",
    "Input",
    "AnnotatedData",
}
#: Layers whose results are for people.
_REPORTS = {"Accuracy", "Silence", "HDF5Output"}

_NET_FIELDS = {"name", "input", "input_dim", "input_shape", "layer", "layers", "state"}
_NET_FIELDS |= {"force_backward", "debug_info"}


@dataclass(frozen=True)
class CaffeLayer:
    """A layer: the numbers of the results that it reads, and of those that it makes."""

    name: str
    kind: str
    message: Message
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    is_of_training: bool

    @property
    def place(self) -> str:
        name = f"`{self.name}` " if self.name else ""
        return f"line {self.message.line}, {name}({self.kind})"


@dataclass
class CaffeNet:
    """The layers that compute, in order, and the results of the network."""

    #: The inputs by name, and their numbers among the results.
    inputs: dict[str, Volume] = field(default_factory=dict)
    images: list[int] = field(default_factory=list)
    layers: list[CaffeLayer] = field(default_factory=list)
    #: Results by name, and those of further losses with the weights of these.
    outputs: dict[str, int] = field(default_factory=dict)
    heads: list[tuple[int, float]] = field(default_factory=list)


def read_net(text: Message, input: Inputs | None, faults: Faults) -> CaffeNet:
    """The layers of a network as evaluation has them, and those of losses that only training has.

    Where training has another layer of the same name, it is left out.

    Errors:
        BadText: with the line of what cannot be read.
    """
    unknown = next((name for name in text.fields if name not in _NET_FIELDS), None)
    if unknown is not None:
        line = text.line_of(unknown)
        raise BadText(f"line {line}: `{unknown}` is no field of one of Caffe's networks")
    if "state" in text:
        faults.reasons.append(f"line {text.line_of('state')}: a `state` is not read")
    messages = text.messages("layer") or text.messages("layers")
    if "layer" in text and "layers" in text:
        raise BadText(f"line {text.line_of('layers')}: `layers`, which are an older format, too")
    if not messages:
        raise BadText("it has no layers")
    found = [_Unresolved(message) for message in messages]
    return _Resolver(text, _selected(found, faults), input, faults).net


class _Unresolved:
    """A layer with the names of blobs, and with the phases that it is in."""

    def __init__(self, message: Message) -> None:
        self.message = message
        if "layer" in message:
            raise BadText(
                f"line {message.line}: a layer within `layers` is of the format before 2014, which "
                "Caffe's `upgrade_net_proto_text` rewrites"
            )
        self.name = message.string("name", "")
        old = message.word("type", "") if message.fields.get("type") and _is_word(message) else None
        if old is None:
            self.kind = message.string("type")
        else:
            self.kind = _OLD_NAMES.get(old) or "".join(w.capitalize() for w in old.split("_"))
        self.bottoms, self.tops = message.strings("bottom"), message.strings("top")

    def is_in(self, phase: str) -> bool:
        included, excluded = self.message.messages("include"), self.message.messages("exclude")
        if included:
            return any(_phase(rule, phase) == phase for rule in included)
        return not any(_phase(rule, phase) == phase for rule in excluded)

    @property
    def rules(self) -> list[Message]:
        return [*self.message.messages("include"), *self.message.messages("exclude")]


def _phase(rule: Message, default: str) -> str:
    """The phase of a rule; one without a phase is for both."""
    found = rule.scalars("phase")
    names = {"0": "TRAIN", "1": "TEST"}
    written = found[0].text if found else default
    if names.get(written, written) not in names.values():
        raise BadText(f"line {rule.line_of('phase')}: `phase` is TRAIN or TEST")
    return names.get(written, written)


def _is_word(message: Message) -> bool:
    return message.scalars("type")[0].kind == "word"


def _selected(layers: Sequence[_Unresolved], faults: Faults) -> list[tuple[_Unresolved, bool]]:
    """The layers that are read, and whether only training has them."""
    for layer in layers:
        for rule in layer.rules:
            for name in rule.fields:
                if name != "phase":
                    line = rule.line_of(name)
                    faults.reasons.append(f"line {line}: a rule by `{name}` is not read")
    tested = [layer for layer in layers if layer.is_in("TEST")]
    names = {layer.name for layer in tested}
    has_source = any(layer.kind in _SOURCES for layer in tested)
    selected = []
    for layer in layers:
        if layer.is_in("TEST"):
            selected.append((layer, False))
            continue
        is_needless = layer.name in names or (has_source and layer.kind in _SOURCES)
        if layer.is_in("TRAIN") and not is_needless:
            # Evaluation leaves dropout out by itself.
            selected.append((layer, layer.kind != "Dropout"))
    return selected


class _Resolver:
    """Follows the names of blobs, and finds the input and the results."""

    def __init__(
        self,
        text: Message,
        layers: Sequence[tuple[_Unresolved, bool]],
        input: Inputs | None,
        faults: Faults,
    ) -> None:
        self.count = 0
        #: What each name stands for at this place of the text; and what no layer computes.
        self.blobs: dict[str, int] = {}
        self.given: dict[int, tuple[str, Volume | None]] = {}
        self.losses: list[tuple[int, float, str]] = []
        self.names: dict[int, str] = {}
        self.what = faults.what
        self.net = CaffeNet()
        for name, volume in _stated(text):
            self._give(name, volume)
        for layer, is_of_training in layers:
            self._read(layer, is_of_training, faults)
        faults.raise_any()
        self._find_inputs(input)
        self._find_results()

    def _give(self, name: str, volume: Volume | None) -> None:
        made = self._new(name)
        self.given[made] = (name, volume)

    def _new(self, name: str) -> int:
        made, self.count = self.count, self.count + 1
        self.blobs[name] = made
        self.names[made] = name
        return made

    def _read(self, layer: _Unresolved, is_of_training: bool, faults: Faults) -> None:
        message = layer.message
        if layer.kind in _SOURCES:
            for index, top in enumerate(layer.tops):
                self._give(top, _source_volume(layer, index))
            return
        reads = []
        for bottom in layer.bottoms:
            if bottom not in self.blobs:
                line = message.line_of("bottom")
                faults.wrong.append(f"line {line}: no layer before this one makes `{bottom}`")
                return
            reads.append(self.blobs[bottom])
        made = CaffeLayer(layer.name, layer.kind, message, tuple(reads), (), is_of_training)
        if layer.kind in _REPORTS:
            return
        weights = message.numbers("loss_weight")
        if layer.kind.endswith("Loss"):
            if layer.kind in ("ContrastiveLoss", "TripletLoss") or not reads:
                faults.reasons.append(f"{made.place}: a loss of several results is not read")
                return
            self.losses.append((reads[0], weights[0] if weights else 1.0, layer.bottoms[0]))
            for top in layer.tops:
                self.blobs.pop(top, None)
            return
        if any(weights):
            line = message.line_of("loss_weight")
            faults.reasons.append(f"line {line}: a `loss_weight` of what is no loss is not read")
        again = next((top for top in layer.tops if self._is_made_again(top, layer)), None)
        if again is not None and not is_of_training:
            line = message.line_of("top")
            faults.wrong.append(f"line {line}: an earlier layer makes `{again}`, too")
            return
        makes = tuple([self._new(top) for top in layer.tops])
        self.net.layers.append(
            CaffeLayer(layer.name, layer.kind, message, tuple(reads), makes, is_of_training)
        )

    def _is_made_again(self, top: str, layer: _Unresolved) -> bool:
        """Whether a blob is there, and the layer does not work in place of it."""
        is_there = top in self.blobs and top not in layer.bottoms
        return is_there or layer.tops.count(top) > 1

    def _find_inputs(self, input: Inputs | None) -> None:
        """What layers read of what none computes.

        Errors:
            BadText: where there is nothing, or where it is not said how large it is.
            WrongSource: where what is given does not fit.
        """
        read = {of for layer in self.net.layers for of in layer.reads}
        self.net.images = [of for of in self.given if of in read]
        if not self.net.images:
            raise BadText("no layer reads an input")
        wanted = by_name(self.what, [self.given[of][0] for of in self.net.images], input)
        for name, stated in (self.given[of] for of in self.net.images):
            if name in self.net.inputs:
                raise BadText(f"two inputs are called `{name}`")
            volume = wanted.get(name, stated)
            if volume is None:
                raise BadText(
                    f"it does not say how large `{name}` is: give the size, or take the file for "
                    "deployment, which has it"
                )
            self.net.inputs[name] = volume

    def _find_results(self) -> None:
        """What losses read; where there is none, what no layer reads.

        The losses with the largest weight are of the network's own results, those with smaller ones
        of heads.
        """
        losses = [loss for loss in self.losses if loss[1] > 0]
        largest = max((weight for _, weight, _ in losses), default=0.0)
        if losses:
            results = [(of, name) for of, weight, name in losses if weight == largest]
            found = {of for of, _ in results}
            self.net.heads = [(of, w) for of, w, _ in losses if w < largest and of not in found]
        else:
            read = {of for layer in self.net.layers for of in layer.reads}
            made = [of for layer in self.net.layers for of in layer.makes if of not in read]
            results = [(of, self.names[of]) for of in made if self.blobs.get(self.names[of]) == of]
        if not results:
            raise BadText("it has no result")
        for of, written in results:
            if of in self.net.outputs.values():
                continue
            stem = name = _output_name(written)
            number = 2
            while name in self.net.outputs:
                name, number = f"{stem}_{number}", number + 1
            self.net.outputs[name] = of


def _output_name(blob: str) -> str:
    """A blob's name as an identifier."""
    name = re.sub(r"\W", "_", blob, flags=re.ASCII)
    return name if name.isidentifier() and not iskeyword(name) else f"out_{name}"


def _stated(text: Message) -> list[tuple[str, Volume | None]]:
    """The inputs that the network itself has, with their sizes."""
    names = text.strings("input")
    shapes = [shape.integers("dim", 1) for shape in text.messages("input_shape")]
    sizes = text.integers("input_dim", 1)
    shapes += [sizes[i : i + 4] for i in range(0, len(sizes), 4)]
    if len(shapes) not in (0, len(names)):
        line = text.line_of("input")
        raise BadText(f"line {line}: {len(names)} of `input` have {len(shapes)} sizes")
    lines = text.line_of("input_shape" if "input_shape" in text else "input_dim")
    if not shapes:
        return [(name, None) for name in names]
    return [(name, _volume(shape, lines)) for name, shape in zip(names, shapes, strict=True)]


def _volume(sizes: Sequence[int], line: int) -> Volume:
    """The volume of an image of a batch: the sizes are batch, channels, height and width."""
    if len(sizes) not in (2, 4):
        raise BadText(f"line {line}: an input is N×C×H×W or N×C, not of {len(sizes)} sizes")
    return Volume((*sizes[2:], sizes[1]))


def _source_volume(layer: _Unresolved, index: int) -> Volume | None:
    """How large an image is that a layer of data gives; None where the file does not say it."""
    message = layer.message
    if layer.kind in ("Input", "DummyData"):
        name = "input_param" if layer.kind == "Input" else "dummy_data_param"
        shapes = message.message(name).messages("shape")
        if not shapes:
            return None
        shape = shapes[min(index, len(shapes) - 1)]
        sizes = shape.integers("dim", 1)
        # A label is a number an image, or one a position.
        return _volume(sizes, shape.line) if len(sizes) in (2, 4) else None
    if index:
        return None
    if layer.kind == "MemoryData":
        given = message.message("memory_data_param")
        return Volume.image(*(given.integer(k, least=1) for k in ("height", "width", "channels")))
    # Images of a database are coloured unless the file says otherwise.
    transform = message.message("transform_param")
    channels = 1 if transform.flag("force_gray", False) else 3
    given = message.message("image_data_param" if layer.kind == "ImageData" else "data_param")
    if layer.kind == "ImageData" and not given.flag("is_color", True):
        channels = 1
    crop = transform.integer("crop_size", 0) or given.integer("crop_size", 0)
    if crop:
        return Volume.image(crop, crop, channels)
    height, width = given.integer("new_height", 0), given.integer("new_width", 0)
    return Volume.image(height, width, channels) if height and width else None
