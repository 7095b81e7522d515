"""What layers of Caffe become: operations, with what is asked of the fields of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archdsl.importing.building import GraphBuilder, weights_of
from archdsl.importing.errors import Refused
from archdsl.importing.from_caffe.net import CaffeLayer, CaffeNet
from archdsl.importing.from_caffe.prototxt import BadText, Message
from archdsl.layers import Layer
from archdsl.layers.volume import Volume

#: Fields of every layer that are read elsewhere, or concern training alone.
_COMMON = {"name", "type", "bottom", "top", "include", "exclude", "phase"}
_COMMON |= {"param", "blobs_lr", "weight_decay", "loss_weight", "propagate_down"}
#: Fields of parameters that say how weights start, or by which code a layer is computed.
_IDLE = {"weight_filler", "bias_filler", "filler", "engine", "force_nd_im2col", "stable_prod_grad"}


class CaffeBuilder:
    """Adds operations, and remembers which have the weights of which layers."""

    def __init__(self, builder: GraphBuilder, net: CaffeNet) -> None:
        self.builder = builder
        self.net = net
        #: The operations with weights, by the first result of the layer.
        self.owners: dict[int, int] = {}
        #: The layers that make results, and how often each is read.
        self.makers = {of: layer for layer in net.layers for of in layer.makes}
        self.readers = Counter(of for layer in net.layers for of in layer.reads)
        self.results = {*net.outputs.values(), *(of for of, _ in net.heads)}
        #: The names of layers by operations.
        self.names: dict[int, str] = {}
        #: By the names of all its weights, the operation that has them first.
        self._named: dict[tuple[str, ...], int] = {}

    def check(self, layer: CaffeLayer, kind: LayerKind) -> None:
        """Errors: ``Refused`` with fields that are not known, ``BadText`` for blobs."""
        message = layer.message
        unknown = [(message, name) for name in message.fields if name not in _COMMON | {kind.param}]
        params = message.message(kind.param)
        unknown += [(params, name) for name in params.fields if name not in kind.fields | _IDLE]
        if unknown:
            shown = ", ".join(f"`{name}` (line {of.line_of(name)})" for of, name in unknown)
            raise Refused(f"{shown} is not in the language")
        if layer.kind == "Scale" and len(layer.reads) == 2:
            return
        least, most = kind.inputs
        if not least <= len(layer.reads) <= most or len(layer.makes) < 1:
            raise BadText(f"{layer.place}: it has {len(layer.reads)} bottoms")
        if len(layer.makes) > 1 and layer.kind not in ("Slice", "Split"):
            raise Refused("a second `top` is not in the language")

    def volume(self, x: int) -> Volume:
        return self.builder.volume(x)

    def add(self, caffe: CaffeLayer, layer: Layer, *inputs: int) -> int:
        """An operation of a layer, which owns its weights if it has some."""
        made = self.builder.add(layer, *inputs)
        self.names[made] = caffe.name
        if self.builder.operations[made].state:
            self.owners[caffe.makes[0]] = made
        self._share(caffe, made)
        return made

    def _share(self, caffe: CaffeLayer, made: int) -> None:
        """Note that an operation has the weights of an earlier one, as their names say.

        Errors:
            Refused: where it has some of them, or is another layer.
        """
        params = caffe.message.fields.get("param", ())
        names = [p.string("name", "") if isinstance(p, Message) else p.text for p in params]
        if not any(names):
            return
        operations = self.builder.operations
        layer, x = operations[made].layer, self.volume(operations[made].inputs[0])
        key = tuple(names)
        is_whole = all(names) and len(names) == len(weights_of(layer, x))
        first = self._named.get(key) if is_whole else None
        if first is not None and operations[first].layer == layer:
            for of in (first, made):
                self.builder.share(of, key)
            return
        known = {name for names_of in self._named for name in names_of if name}
        again = next((name for name in names if name in known), None)
        if again is not None:
            raise Refused(f"the weights `{again}` of an earlier layer are not in the language")
        self._named[key] = made


@dataclass(frozen=True)
class LayerKind:
    """A type of layer: the field with its parameters, what is read of these, and of blobs."""

    add: Callable[[CaffeBuilder, CaffeLayer, list[int]], Sequence[int]]
    param: str = ""
    fields: frozenset[str] = frozenset()
    inputs: tuple[int, int] = (1, 1)


def plain(layer: Callable[[], Layer], param: str = "") -> LayerKind:
    """A layer without parameters."""
    return LayerKind(lambda made, caffe, inputs: [made.add(caffe, layer(), *inputs)], param)


def of_one(
    param: str,
    fields: str,
    make: Callable[[Message, Volume], Layer | None],
) -> LayerKind:
    """A layer of one input that its parameters say; None is what changes nothing."""

    def add(made: CaffeBuilder, caffe: CaffeLayer, inputs: list[int]) -> Sequence[int]:
        (x,) = inputs
        layer = make(caffe.message.message(param), made.volume(x))
        return [x if layer is None else made.add(caffe, layer, x)]

    return LayerKind(add, param, frozenset(fields.split()))


def need_channels(params: Message, x: Volume, name: str = "axis") -> None:
    """Refuse a layer along another axis than that of the channels, the first of an image."""
    axis = params.integer(name, 1, -4)
    if axis % (x.rank + 2) != 1 or not -x.rank - 2 <= axis < x.rank + 2:
        raise Refused(f"`{name}: {axis}` (line {params.line_of(name)}) is not in the language")


def along_axes(params: Message, name: str, default: int | None, least: int) -> tuple[int, int]:
    """A size along height and width: one number, two, or a field for each."""
    stem = name.partition("_")[0]
    separate = [f"{stem}_h", f"{stem}_w"]
    if any(key in params for key in separate):
        if name in params:
            raise BadText(f"line {params.line_of(name)}: `{name}` beside `{stem}_h`")
        height, width = (params.integer(key, default, least) for key in separate)
        return height, width
    sizes = params.integers(name, least)
    if not sizes and default is None:
        raise BadText(f"line {params.line}: `{name}` is missing")
    if len(sizes) > 2:
        raise Refused(f"a `{name}` for {len(sizes)} axes is not in the language")
    sizes = sizes or [default or 0]
    return sizes[0], sizes[-1]
