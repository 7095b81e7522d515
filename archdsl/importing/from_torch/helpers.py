"""Helper classes of generated modules: layers of the language that PyTorch has no module for.

A class is known by its code and not by its name: each of its functions must be the one that archdsl
writes, with PyTorch behind the names in it. Somebody's ``Scale`` may do anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.layers import REGISTRY, Layer
from archdsl.layers.activation import AbsoluteValue
from archdsl.layers.attention import Attention
from archdsl.layers.norm import LayerNorm, RMSNorm
from archdsl.layers.plumbing import Identity, Pad
from archdsl.layers.pool import ChannelMax, ChannelMean
from archdsl.layers.rearrangement import LayerScale, PadChannels, Scale, Slice, Take
from archdsl.layers.recurrent import GRU, LSTM
from archdsl.layers.regularization import DropPath
from archdsl.layers.tokens import (
    ClassToken,
    Embedding,
    PositionalEncoding,
    PositionEmbedding,
    Token,
)
from archdsl.layers.volume import Volume

#: What the code of helper classes calls by name.
_GLOBALS = {"torch": torch, "nn": nn, "Tensor": Tensor}


def helper_of(module: nn.Module) -> str | None:
    """The name of the helper class that a module is of; None where it is of none."""
    kind = type(module)
    known = _classes().get(kind.__name__)
    if known is None or kind.__bases__ != known.__bases__:
        return None
    own, theirs = _functions(kind), _functions(known)
    if own.keys() != theirs.keys():
        return None
    is_same = all(_is_same(own[name], theirs[name]) for name in own)
    return kind.__name__ if is_same else None


@cache
def _classes() -> dict[str, type[nn.Module]]:
    """All helper classes, as they are written into modules."""
    found: dict[str, type[nn.Module]] = {}
    for definition in REGISTRY.values():
        for name, source in definition.helpers().items():
            scope: dict[str, Any] = {}
            # Python compiles calls of what a module imports in another way than other calls.
            text = f"import torch\nfrom torch import Tensor, nn\n\n\n{source}"
            exec(compile(text, "<helper>", "exec", dont_inherit=True), scope)
            found[name] = scope[name]
    return found


def _functions(kind: type) -> dict[str, FunctionType]:
    return {name: value for name, value in vars(kind).items() if isinstance(value, FunctionType)}


def _is_same(one: FunctionType, other: FunctionType) -> bool:
    """Whether two functions have the same code and defaults, and mean the same by its names."""
    scope = one.__globals__
    names = [name for name in one.__code__.co_names if name in _GLOBALS]
    return (
        _placeless(one.__code__) == _placeless(other.__code__)
        and (one.__defaults__, one.__kwdefaults__) == (other.__defaults__, other.__kwdefaults__)
        and all(scope.get(name) is _GLOBALS[name] for name in names)
    )


def _placeless(code: CodeType) -> CodeType:
    """Code without where it was written."""
    constants = tuple(
        _placeless(constant) if isinstance(constant, CodeType) else constant
        for constant in code.co_consts
    )
    return code.replace(
        co_filename="", co_firstlineno=1, co_linetable=b"", co_consts=constants, co_qualname=""
    )


def drops_samples(module: nn.Module) -> bool:
    """Whether a module is timm's for `droppath`, whose code makes its random numbers itself."""
    kind = type(module)
    is_timm = (kind.__module__, kind.__name__) == ("timm.layers.drop", "DropPath")
    return is_timm and bool(getattr(module, "scale_by_keep", False))


# ── What they are ────────────────────────────────────────────────────────────────────────────


def start_of(parameter: Tensor, otherwise: float) -> float:
    """The number that factors start at, where none of them was trained."""
    values = {*parameter.flatten().tolist()}
    if len(values) != 1:
        return otherwise
    value = float(values.pop())
    short = float(f"{value:.7g}")  # as it was given, before it became a float32
    return short if abs(short - value) <= 1e-7 * abs(value) else value


def _window_attention(module: Any, x: Volume) -> Layer:
    return Attention(
        module.heads,
        window=module.window,
        shift=max(module.down, module.right),
        bias=module.qkv.bias is not None,
    )


def _cut(x: Volume, sizes: Sequence[int], starts: Sequence[int] | None = None) -> Layer:
    """A crop, as negative padding: which part of the text it was of is not in the module."""
    sides: list[int] = []
    for axis, (own, size) in enumerate(zip(x.spatial, sizes, strict=True)):
        start = (own - size) // 2 if starts is None else starts[axis]
        sides[:0] = [-start, start + size - own]
    return Pad(tuple(sides)) if any(sides) else Identity()


def _recurrent(kind: type[LSTM] | type[GRU]) -> Callable[[Any, Volume], Layer]:
    def make(module: Any, x: Volume) -> Layer:
        rnn = module.rnn
        return kind(rnn.hidden_size, rnn.num_layers, rnn.bidirectional, rnn.bias)

    return make


_MAKERS: dict[str, Callable[[Any, Volume], Layer]] = {
    "Abs": lambda module, x: AbsoluteValue(),
    "SelfAttention": lambda module, x: Attention(
        module.heads, causal=module.causal, bias=module.in_proj.bias is not None
    ),
    "WindowAttention": _window_attention,
    "ChannelNorm": lambda module, x: LayerNorm(module.eps),
    "ChannelRMSNorm": lambda module, x: RMSNorm(module.eps),
    "Crop": lambda module, x: _cut(x, (module.height, module.width)),
    "Crop1d": lambda module, x: _cut(x, (module.length,)),
    "Crop3d": lambda module, x: _cut(x, module.sizes),
    "CropAt": lambda module, x: _cut(x, (module.height, module.width), (module.top, module.left)),
    "CropAt1d": lambda module, x: _cut(x, (module.length,), (module.start,)),
    "CropAt3d": lambda module, x: _cut(x, module.sizes, module.starts),
    "ChannelMean": lambda module, x: ChannelMean(),
    "ChannelMax": lambda module, x: ChannelMax(),
    "Take": lambda module, x: Take(tuple(module.channels)),
    "Slice": lambda module, x: Slice(
        module.start, None if module.stop == x.channels else module.stop
    ),
    "PadChannels": lambda module, x: PadChannels(module.before, module.after),
    **dict.fromkeys(("Scale", "Scale1d", "Scale3d"), lambda module, x: Scale()),
    **dict.fromkeys(
        ("LayerScale", "LayerScale1d", "LayerScale3d"),
        lambda module, x: LayerScale(start_of(module.weight, LayerScale().value)),
    ),
    "ClassToken": lambda module, x: ClassToken(),
    "PositionEmbedding": lambda module, x: PositionEmbedding(),
    "PositionalEncoding": lambda module, x: PositionalEncoding(),
    "Token": lambda module, x: Token(module.index),
    "WordEmbedding": lambda module, x: Embedding(module.num_embeddings, module.embedding_dim),
    "Memory": _recurrent(LSTM),
    "GatedUnits": _recurrent(GRU),
    "DropPath": lambda module, x: DropPath(module.p),
}


def helper_layer(module: nn.Module, x: Volume) -> Layer | None:
    """The layer that a module of a helper class is; None where it is of none."""
    if drops_samples(module):
        return DropPath(float(module.drop_prob))  # type: ignore[arg-type]
    name = helper_of(module)
    return None if name not in _MAKERS else _MAKERS[name](module, x)
