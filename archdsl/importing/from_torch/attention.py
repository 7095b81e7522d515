"""Attention, as PyTorch has it, as a layer over all positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from archdsl.importing.errors import Refused
from archdsl.importing.from_torch import functions, views
from archdsl.importing.from_torch.modules import need
from archdsl.importing.from_torch.reader import Handler, TraceReader
from archdsl.importing.from_torch.standins import BATCH
from archdsl.importing.from_torch.values import Attribute
from archdsl.importing.from_torch.views import View
from archdsl.layers.attention import Attention
from archdsl.layers.merge import Attend
from archdsl.layers.tokens import Tokens


def _multihead(
    reader: TraceReader,
    node: fx.Node,
    module: nn.MultiheadAttention,
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[View, None]:
    """Of tokens to themselves, without a mask."""
    view = reader.view_of(query)
    if key != query or value != query:
        raise Refused("`nn.MultiheadAttention` of one sequence to another is not imported yet")
    if key_padding_mask is not None or attn_mask is not None or is_causal:
        raise Refused("`nn.MultiheadAttention` with a mask is not imported yet")
    need(module, dropout=0.0, add_zero_attn=False, bias_k=None, _qkv_same_embed_dim=True)
    order = (0, 1, 2) if module.batch_first else (1, 0, 2)
    volume = view.volume
    if volume.rank != 1 or views.permuted(view, order) != views.last(view.id, volume):
        raise Refused("`nn.MultiheadAttention` of what are no tokens is not in the language")
    layer = Attention(module.num_heads, bias=module.in_proj_bias is not None)
    made = reader.add(node, layer, [view], str(node.target), state=True)
    reader.is_rounded = True
    return views.with_volume(view, made.id, made.volume), None


def _scaled_dot_product(
    reader: TraceReader,
    node: fx.Node,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> View:
    """The function by itself, of sequences whose channels are seen as those of heads."""
    if attn_mask is not None or dropout_p or scale is not None or enable_gqa:
        raise Refused("attention with a mask, dropout or another scale is not in the language")
    found = [in_a_row(reader, node, reader.view_of(x)) for x in (query, key, value)]
    heads = {heads_of(view) for view in found}
    count = heads.pop()
    if heads or count is None:
        raise Refused("attention of what is not split into heads is not in the language")
    made = reader.add(node, Attend(count, is_causal), found)
    reader.is_rounded = True
    return views.permuted(into_heads(made, count), (0, 1, 3, 2))


def in_a_row(reader: TraceReader, node: fx.Node, view: View) -> View:
    """An image that is seen by all its positions at once as the sequence of these."""
    axes = views.in_a_row(view)
    if axes is None:
        return view
    made = reader.add(node, Tokens(), [view])
    return View(made.id, made.volume, axes)


def into_heads(view: View, heads: int) -> View:
    """A sequence with its channels split into heads, before its positions."""
    sizes = (BATCH, heads, view.volume.channels // heads, view.volume.positions)
    found = views.reshaped(view, sizes)
    assert found is not None
    return found


def heads_of(view: View) -> int | None:
    """Into how many heads the channels of a sequence are split, head by position by channel."""
    if view.volume.rank != 1 or len(view.axes) != 4:
        return None
    heads = view.sizes[1]
    if view.volume.channels % heads:
        return None
    sizes = (BATCH, heads, view.volume.channels // heads, view.volume.positions)
    split = views.reshaped(views.plain(view.id, view.volume), sizes)
    is_so = split is not None and views.permuted(split, (0, 1, 3, 2)) == view
    return heads if is_so else None


# ── Windows, by torchvision's functions ──────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Biases:
    """The biases of offsets in a square window, from a table of all offsets."""

    table: Attribute
    index: Attribute
    window: int


def _relative_bias(
    reader: TraceReader, node: fx.Node, table: Attribute, index: Attribute, window: Sequence[int]
) -> _Biases:
    height, width = window
    if height != width:
        raise Refused(f"windows of {height}x{width} are not in the language")
    found = reader.module.get_buffer(index.path)
    if not torch.equal(found.flatten(), _offsets(width).flatten()):
        raise Refused(f"`{index.path}` does not number the offsets row by row")
    return _Biases(table, index, width)


def _offsets(window: int) -> Tensor:
    """The number of the offset between each two positions of a window."""
    place = torch.arange(window)
    offset = place[:, None] - place + window - 1
    number = (2 * window - 1) * offset[:, None, :, None] + offset[:, None]
    return number.flatten(0, 1).flatten(1, 2)


def _windows(
    reader: TraceReader,
    node: fx.Node,
    input: Any,
    qkv_weight: Any,
    proj_weight: Any,
    relative_position_bias: Any,
    window_size: Sequence[int],
    num_heads: int,
    shift_size: Sequence[int],
    attention_dropout: float = 0.0,
    dropout: float = 0.0,
    qkv_bias: Any = None,
    proj_bias: Any = None,
    logit_scale: Any = None,
    training: bool = True,
) -> View:
    """Swin's attention, whose positions of other parts have scores of -100 and not of -infinity."""
    view = reader.view_of(input)
    if logit_scale is not None or not isinstance(relative_position_bias, _Biases):
        raise Refused("attention of Swin's second version is not in the language")
    if attention_dropout or dropout:
        raise Refused("`shifted_window_attention` with dropout is not in the language")
    if not view.is_last or (qkv_bias is None) != (proj_bias is None):
        raise Refused("`shifted_window_attention` of such a kind is not in the language")
    if len({*shift_size}) != 1:
        raise Refused(f"windows shifted by {shift_size} are not in the language")
    layer = Attention(
        num_heads,
        window=relative_position_bias.window,
        shift=shift_size[0],
        bias=qkv_bias is not None,
    )
    numbers = (relative_position_bias.table, qkv_weight, qkv_bias, proj_weight, proj_bias)
    keys = tuple(number.path for number in numbers if number is not None)
    fixed = (relative_position_bias.index.path,)
    made = reader.add(node, layer, [view], state=True, keys=keys, fixed=fixed)
    reader.is_rounded = True
    return views.last(made.id, made.volume)


def _merged_patches(reader: TraceReader, node: fx.Node, x: Any) -> View:
    """The four positions of each square of two by two, as channels."""
    view = reader.view_of(x)
    if not view.is_last or any(size % 2 for size in view.volume.spatial):
        raise Refused("`_patch_merging_pad` of an odd size is not in the language")
    everything = slice(None)
    parts = [
        functions.part(reader, node, view, (everything, down, right, everything))
        for right in (slice(0, None, 2), slice(1, None, 2))
        for down in (slice(0, None, 2), slice(1, None, 2))
    ]
    return functions.cat(reader, node, parts, -1)


HANDLERS: dict[object, Handler] = {
    nn.MultiheadAttention: _multihead,
    "scaled_dot_product_attention": _scaled_dot_product,
    "_get_relative_position_bias": _relative_bias,
    "shifted_window_attention": _windows,
    "_patch_merging_pad": _merged_patches,
}
