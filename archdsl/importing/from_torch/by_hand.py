"""Attention that code writes out: a product of queries and keys, a factor, softmax, and values.

``softmax(q @ k.T * d ** -0.5) @ v`` is `attend`, whatever its parts are called. What it is made of
has no words of its own: a tensor times a number is kept until it is known what reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isclose
from typing import Any

from torch import fx, nn

from archdsl.importing.errors import Refused
from archdsl.importing.from_torch import functions, parameters, views
from archdsl.importing.from_torch.attention import heads_of, in_a_row, into_heads
from archdsl.importing.from_torch.reader import Handlers, TraceReader, shown
from archdsl.importing.from_torch.values import Unfinished
from archdsl.importing.from_torch.views import View
from archdsl.layers.merge import Attend

HANDLERS = Handlers()
_on = HANDLERS.on
#: What a factor of attention may differ from ``d ** -0.5`` by, as a share.
_CLOSE = 1e-12


@dataclass(frozen=True, slots=True)
class _Scaled(Unfinished):
    """A tensor times a number."""

    view: View
    factor: float


@dataclass(frozen=True, slots=True)
class _Scores(Unfinished):
    """How much each query agrees with each key, times a number: for each head, where it has some.

    Both are seen by head, position and channel.
    """

    query: View
    key: View
    factor: float
    #: Whether they are shares, as softmax makes them, and whether keys come before queries.
    are_shares: bool = False
    is_turned: bool = False

    @property
    def heads(self) -> int:
        return _heads(self.query) or 1


# ── Factors ──────────────────────────────────────────────────────────────────────────────────


@_on("mul", "imul", "mul_")
def _mul(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> Any:
    for one, number in ((x, other), (other, x)):
        if type(number) in (int, float) and number != 1:
            found = _times(reader, node, one, number)
            if found is not None:
                return found
    return parameters.HANDLERS["mul"](reader, node, x, other)


@_on("truediv", "itruediv", "div", "div_")
def _div(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> Any:
    found = None
    if type(other) in (int, float) and other:
        found = _times(reader, node, x, 1 / other)
    if found is None:
        raise Refused(f"`{shown(node)}` is not in the language")
    return found


def _times(reader: TraceReader, node: fx.Node, x: Any, factor: float) -> Unfinished | None:
    if isinstance(x, View) and x in reader.products:
        x = reader.products[x]
    reason = f"`{shown(node)}` with a number is not in the language"
    if isinstance(x, _Scores) and not x.are_shares:
        return replace(x, node=node, reason=reason, factor=x.factor * factor)
    return _Scaled(node, reason, x, factor) if isinstance(x, View) else None


# ── Products ─────────────────────────────────────────────────────────────────────────────────


@_on("matmul", "bmm", "mm")
def _matmul(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> Any:
    if isinstance(x, _Scores) and x.are_shares and not x.is_turned:
        return _attend(reader, node, x, reader.view_of(other))
    if isinstance(other, _Scores) and other.are_shares and other.is_turned:
        found = _attend(reader, node, other, _turned(reader.view_of(x)))
        return _turned(found)
    scores = _scores(reader, node, x, other)
    has_factor = isinstance(x, _Scaled) or isinstance(other, _Scaled)
    if scores is not None and (has_factor or len(scores.query.axes) == 4):
        return scores
    try:
        made = functions.matmul(reader, node, x, other)
    except Refused:
        if scores is None:
            raise
        return scores
    if scores is not None:
        reader.products[made] = scores
    return made


def _scores(reader: TraceReader, node: fx.Node, x: Any, other: Any) -> _Scores | None:
    """What a product is, should it be one of queries and keys."""
    factor, found = 1.0, []
    reason = "it reads a tensor that was permuted or reshaped as the language cannot say"
    for one in (x, other):
        if isinstance(one, _Scaled):
            factor, reason = factor * one.factor, one.reason
        found.append(one.view if isinstance(one, _Scaled) else one)
    query, key = found
    if not isinstance(query, View) or not isinstance(key, View):
        return None
    query, key = in_a_row(reader, node, query), in_a_row(reader, node, _turned(key))
    is_attention = _heads(query) is not None and _heads(query) == _heads(key)
    return _Scores(node, reason, query, key, factor) if is_attention else None


def _heads(view: View) -> int | None:
    """Into how many heads a sequence is split; None where it is not seen by position."""
    if len(view.axes) == 4:
        return heads_of(view)
    return 1 if view.volume.rank == 1 and len(view.axes) == 3 and view.is_last else None


def _turned(view: View) -> View:
    """A tensor with its last two axes in the other order."""
    *others, one, two = range(len(view.axes))
    return views.permuted(view, [*others, two, one])


def _attend(reader: TraceReader, node: fx.Node, scores: _Scores, value: View) -> View:
    value = in_a_row(reader, node, value)
    if _heads(value) != scores.heads or len(value.axes) != len(scores.query.axes):
        raise Refused("attention to values of another form is not in the language")
    made = reader.add(node, Attend(scores.heads), [scores.query, scores.key, value])
    reader.is_rounded = True
    return _turned(into_heads(made, scores.heads) if len(value.axes) == 4 else made)


# ── What is between ──────────────────────────────────────────────────────────────────────────


@_on("softmax")
def _softmax(
    reader: TraceReader, node: fx.Node, x: Any, dim: int, *given: Any, **named: Any
) -> Any:
    if not isinstance(x, _Scores):
        return functions.HANDLERS["softmax"](reader, node, x, dim, *given, **named)
    if any(one is not None for one in (*given, *named.values())):
        raise Refused(f"`{shown(node)}` with such arguments is not in the language")
    return _shares(x, dim)


@_on(nn.Softmax)
def _softmax_module(reader: TraceReader, node: fx.Node, module: nn.Softmax, x: Any) -> Any:
    if not isinstance(x, _Scores) or module.dim is None:
        return reader.apply(node, module, x, str(node.target))
    return _shares(x, module.dim)


def _shares(x: _Scores, dim: int) -> _Scores:
    axes = len(x.query.axes)
    width = x.query.volume.channels // x.heads
    if x.are_shares or x.is_turned or dim % axes != axes - 1:
        raise Refused(f"softmax of scores along {dim} is not in the language")
    if not isclose(x.factor, width**-0.5, rel_tol=_CLOSE):
        raise Refused(f"attention with a factor of {x.factor:g} is not in the language")
    return replace(x, are_shares=True)


@_on("dropout")
def _dropout(
    reader: TraceReader, node: fx.Node, x: Any, p: float = 0.5, *given: Any, **named: Any
) -> Any:
    if isinstance(x, _Scores):
        return _kept(x, p)
    return functions.HANDLERS["dropout"](reader, node, x, p, *given, **named)


@_on(nn.Dropout, nn.Identity)
def _dropout_module(reader: TraceReader, node: fx.Node, module: nn.Module, x: Any) -> Any:
    if isinstance(x, _Scores):
        return _kept(x, float(getattr(module, "p", 0)))
    return reader.apply(node, module, x, str(node.target))


def _kept(x: _Scores, p: float) -> _Scores:
    if p:
        raise Refused("attention with dropout is not in the language")
    return x


@_on("permute", "transpose", "swapaxes", "swapdims")
def _permute(reader: TraceReader, node: fx.Node, x: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(x, _Scores | _Scaled):
        return functions.HANDLERS["permute"](reader, node, x, *args, **kwargs)
    view = x.view if isinstance(x, _Scaled) else x.query
    order = functions.order_of(node, len(view.axes), args, kwargs)
    if isinstance(x, _Scaled):
        return replace(x, view=views.permuted(view, order))
    *others, one, two = range(len(view.axes))
    if order != [*others, two, one]:
        raise Refused(f"`{shown(node)}` of scores is not in the language")
    return replace(x, is_turned=not x.is_turned)
