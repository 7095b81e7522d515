"""Parameters that a module uses by itself: factors, tokens, and the weights of functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx, nn

from archdsl.importing.errors import Refused
from archdsl.importing.from_torch import functions, views
from archdsl.importing.from_torch.helpers import start_of
from archdsl.importing.from_torch.modules import normalization
from archdsl.importing.from_torch.reader import Handlers, TraceReader, shown
from archdsl.importing.from_torch.values import Attribute
from archdsl.importing.from_torch.views import View
from archdsl.layers import Layer
from archdsl.layers.plumbing import Reshape
from archdsl.layers.rearrangement import LayerScale
from archdsl.layers.tokens import ClassToken, PositionEmbedding, Tokens

HANDLERS = Handlers()
_on = HANDLERS.on


def _with_parameter(
    reader: TraceReader, node: fx.Node, layer: Layer, view: View, of: Attribute
) -> View:
    """A layer whose only number is a parameter of a module around it."""
    _need_parameter(reader, of)
    made = reader.add(node, layer, [view], of.path, state=True, keys=(of.path,))
    if made.volume == view.volume:
        return views.with_volume(view, made.id, made.volume)
    return views.last(made.id, made.volume) if view.is_last else made


def _need_parameter(reader: TraceReader, of: Attribute) -> None:
    if of.path not in dict(reader.module.named_parameters(remove_duplicate=False)):
        raise Refused(f"`{of.path}` is no parameter")


def _aligned(view: View, of: Attribute) -> tuple[int, ...]:
    """The sizes of a parameter beside those of a tensor, as PyTorch broadcasts it."""
    return (1,) * (len(view.axes) - len(of.sizes)) + of.sizes


def _pair(x: Any, y: Any) -> tuple[View, Attribute] | None:
    if isinstance(x, Attribute):
        x, y = y, x
    return (x, y) if isinstance(x, View) and isinstance(y, Attribute) else None


@_on("mul", "imul", "mul_")
def _mul(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> View:
    found = _pair(x, other)
    if found is None:
        return functions.mul(reader, node, x, other)
    view, of = found
    at, channels = view.channel_axis(), view.volume.channels
    wanted = tuple(channels if axis == at else 1 for axis in range(len(view.axes)))
    if at is None or not view.volume.rank or _aligned(view, of) != wanted:
        raise Refused(f"the parameter `{of.path}` belongs to no layer")
    _need_parameter(reader, of)
    start = start_of(reader.module.get_parameter(of.path), LayerScale().value)
    return _with_parameter(reader, node, LayerScale(start), view, of)


@_on("add", "iadd", "add_")
def _add(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> View | None:
    if isinstance(x, Attribute) and x.path.endswith("num_batches_tracked"):
        return None  # the count of batches, which each module of batch normalization keeps
    found = _pair(x, other)
    if found is None:
        return functions.add(reader, node, x, other)
    view, of = found
    volume = view.volume
    if volume.rank > 1 and view.is_first and of.sizes == (1, *volume.torch_sizes):
        return _at_positions(reader, node, view, of)
    if volume.rank != 1 or not view.is_last or of.sizes[-2:] != volume.sizes:
        raise Refused(f"the parameter `{of.path}` belongs to no layer")
    return _with_parameter(reader, node, PositionEmbedding(), view, of)


def _at_positions(reader: TraceReader, node: fx.Node, view: View, of: Attribute) -> View:
    """A parameter that is added to a whole image: one to the tokens that its positions are."""
    _need_parameter(reader, of)
    tokens = reader.add(node, Tokens(), [view])
    made = reader.add(
        node, PositionEmbedding(), [tokens], of.path, state=True, keys=(of.path,), is_turned=True
    )
    return reader.add(node, Reshape(view.volume.sizes), [made])


@_on("cat", "concat", "concatenate")
def _cat(
    reader: TraceReader,
    node: fx.Node,
    tensors: Sequence[Any],
    dim: int = 0,
    axis: int | None = None,
) -> View:
    dim = dim if axis is None else axis
    if len(tensors) == 2 and isinstance(tensors[0], Attribute):
        of, view = tensors
        view = reader.view_of(view)
        is_token = of.sizes in ((1, 1, view.volume.channels), (1, view.volume.channels))
        if view.volume.rank == 1 and view.is_last and dim in (1, -2) and is_token:
            return _with_parameter(reader, node, ClassToken(), view, of)
    return functions.cat(reader, node, tensors, dim)


@_on("expand", "repeat", "expand_as")
def _expand(reader: TraceReader, node: fx.Node, x: Any, *_: Any) -> Any:
    """A parameter for each image of a batch; what it is joined with tells its sizes."""
    if not isinstance(x, Attribute):
        raise Refused(f"`{shown(node)}` is not in the language")
    return x


@_on("batch_norm")
def _batch_norm(reader: TraceReader, node: fx.Node, x: Any, *given: Any, **named: Any) -> View:
    """A module of batch normalization that calls the function, as timm's do."""
    attributes = [v for v in (*given, *named.values()) if isinstance(v, Attribute)]
    paths = {attribute.path.rpartition(".")[0] for attribute in attributes}
    path = paths.pop() if len(paths) == 1 else ""
    module = reader.module.get_submodule(path)
    if not isinstance(module, nn.modules.batchnorm._BatchNorm):
        raise Refused(f"`{shown(node)}` outside a module of its own is not in the language")
    view = reader.first(node, x)
    return reader.add(node, normalization(module, view.volume), [view], path, state=True)


@_on("layer_norm")
def _layer_norm(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> View:
    return _as_module(
        reader, node, nn.LayerNorm(normalized_shape, eps, device="meta"), x, weight, bias
    )


@_on("group_norm")
def _group_norm(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> View:
    channels = reader.view_of(x).volume.channels
    affine = weight is not None
    module = nn.GroupNorm(num_groups, channels, eps, affine, device="meta")
    return _as_module(reader, node, module, x, weight, bias)


@_on("instance_norm")
def _instance_norm(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> View:
    view = reader.view_of(x)
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise Refused(f"`{shown(node)}` with running statistics is not in the language")
    kinds: list[Any] = [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d]
    kind = kinds[max(view.volume.rank, 1) - 1]
    module = kind(view.volume.channels, eps, affine=weight is not None, device="meta")
    return _as_module(reader, node, module, x, weight, bias)


@_on("prelu")
def _prelu(reader: TraceReader, node: fx.Node, x: Any, weight: Any) -> View:
    count = weight.sizes[0] if isinstance(weight, Attribute) and weight.sizes else 1
    return _as_module(reader, node, nn.PReLU(count, device="meta"), x, weight)


@_on("linear")
def _linear(reader: TraceReader, node: fx.Node, x: Any, weight: Any, bias: Any = None) -> View:
    sizes = weight.sizes if isinstance(weight, Attribute) else ()
    if len(sizes) != 2:
        raise Refused(f"`{shown(node)}` with weights that are computed is not in the language")
    module = nn.Linear(sizes[1], sizes[0], bias is not None, device="meta")
    return _as_module(reader, node, module, x, weight, bias)


@_on("conv1d", "conv2d", "conv3d")
def _conv(
    reader: TraceReader,
    node: fx.Node,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> View:
    sizes = weight.sizes if isinstance(weight, Attribute) else ()
    if len(sizes) < 3:
        raise Refused(f"`{shown(node)}` with weights that are computed is not in the language")
    kind: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(sizes) - 3]
    module = kind(
        sizes[1] * groups,
        sizes[0],
        sizes[2:],
        stride,
        padding,
        dilation,
        groups,
        bias is not None,
        device="meta",
    )
    return _as_module(reader, node, module, x, weight, bias)


def _as_module(
    reader: TraceReader, node: fx.Node, module: nn.Module, x: Any, *numbers: Any
) -> View:
    """What a module with these weights does, whoever owns them."""
    given = [number for number in numbers if number is not None]
    if not all(isinstance(number, Attribute) for number in given):
        raise Refused(f"`{shown(node)}` with weights that are computed is not in the language")
    for number in given:
        _need_parameter(reader, number)
    if len(given) != len(module.state_dict()):
        raise Refused(f"`{shown(node)}` without weight or bias is not in the language")
    keys = tuple(number.path for number in given)
    owners = {key.rpartition(".")[0] for key in keys}
    owner = owners.pop() if len(owners) == 1 else ""
    # A module that has these weights alone is the layer; one that has more is a part around it.
    is_whole = bool(owner) and len(reader.module.get_submodule(owner).state_dict()) == len(keys)
    path = owner if is_whole else keys[0] if keys else ""
    return reader.apply(node, module, x, path, state=bool(keys), keys=keys)
