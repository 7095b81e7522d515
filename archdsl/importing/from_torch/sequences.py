"""Modules of PyTorch that read sequences: words, and recurrent layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from archdsl.importing.errors import Refused
from archdsl.importing.from_torch import views
from archdsl.importing.from_torch.modules import need
from archdsl.importing.from_torch.reader import Handler, TraceReader, shown
from archdsl.importing.from_torch.standins import value_of
from archdsl.importing.from_torch.views import View
from archdsl.layers.recurrent import GRU, LSTM
from archdsl.layers.tokens import Embedding


def _embedding(reader: TraceReader, node: fx.Node, module: nn.Embedding, input: Any) -> View:
    """Words become tokens, with the channels last."""
    need(module, padding_idx=None, max_norm=None, scale_grad_by_freq=False, sparse=False)
    layer = Embedding(module.num_embeddings, module.embedding_dim)
    made = reader.add(node, layer, [reader.view_of(input)], str(node.target), state=True)
    return views.last(made.id, made.volume)


def _recurrent(
    reader: TraceReader, node: fx.Node, module: nn.LSTM | nn.GRU, input: Any, hx: Any = None
) -> tuple[View, None]:
    """The states of all positions; the last alone are not in the language."""
    need(module, dropout=0.0, proj_size=0)
    if hx is not None:
        raise Refused(f"`nn.{type(module).__name__}` with a first state is not in the language")
    view = reader.view_of(input)
    order = (0, 1, 2) if module.batch_first else (1, 0, 2)
    volume = view.volume
    if volume.rank != 1 or views.permuted(view, order) != views.last(view.id, volume):
        raise Refused(f"`nn.{type(module).__name__}` of what are no tokens is not in the language")
    kind = LSTM if isinstance(module, nn.LSTM) else GRU
    layer = kind(module.hidden_size, module.num_layers, module.bidirectional, module.bias)
    made = reader.add(node, layer, [view], str(node.target), state=True)
    reader.is_rounded = True
    return views.with_volume(view, made.id, made.volume), None


def _whole(reader: TraceReader, node: fx.Node, input: Any) -> Any:
    """Whole numbers of what are the numbers of words, which they are already."""
    (given,) = node.all_input_nodes
    found = value_of(given)
    if found is None or found.dtype != torch.long:
        raise Refused(f"`{shown(node)}` is not in the language")
    return input


HANDLERS: dict[object, Handler] = {
    "long": _whole,
    nn.Embedding: _embedding,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
}
