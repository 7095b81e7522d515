"""Attention, as PyTorch has it, as a layer over all positions."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from archdsl.importing import views
from archdsl.importing.modules import Refused, need
from archdsl.importing.reader import Handler, TraceReader
from archdsl.importing.views import View
from archdsl.layers.attention import Attention

HANDLERS: dict[object, Handler] = {}


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


HANDLERS[nn.MultiheadAttention] = _multihead
