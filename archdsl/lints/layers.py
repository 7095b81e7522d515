"""Lints about layers and their neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archdsl.layers import Family, UnaryLayer
from archdsl.layers.activation import Softmax
from archdsl.layers.definition import words_of
from archdsl.layers.norm import BatchNorm, InstanceNorm
from archdsl.layers.regularization import Dropout
from archdsl.layers.windows import in_short, pad_sides
from archdsl.lints.subject import LintedNetwork, written
from archdsl.network.graph import Node
from archdsl.recipe import Recipe
from archdsl.recipe.losses import CrossEntropy
from archdsl.text.diagnostics import Diagnostic, Fix, Label, replaced

#: Below this many parameters no layer is heavy.
LIGHT = 1_000_000
#: In percent of all parameters. The first of VGG's three has 77, AlexNet's 61.
HEAVY = 80


def bias_before_norm(network: LintedNetwork) -> Iterator[Diagnostic]:
    """The normalization subtracts each channel's mean, and with it whatever a bias has added."""
    for node in network.owners:
        if not isinstance(node.layer, (BatchNorm, InstanceNorm)):
            continue
        before = network.model.nodes[network.input_of(node).module]
        if not getattr(before.layer, "bias", False):
            continue
        if not all(_is_only_normalized(network, user) for user in network.users[before.id]):
            continue
        fixes: tuple[Fix, ...] = ()
        if "nobias" in words_of(type(before.layer)) and "bias" not in before.span.text:
            message = "add `nobias`; weights saved earlier no longer fit"
            fixes = (replaced(before.span.after, " nobias", message, keeps_choices=False),)
        yield network.warn(
            "bias-before-norm",
            f"the bias of `{before.layer.name}` is lost in `{node.layer.name}`",
            before,
            "adds a number to each channel",
            related=(Label(node.span, "subtracts the mean of each channel"),),
            fixes=fixes,
        )


def _is_only_normalized(network: LintedNetwork, node: Node) -> bool:
    """Whether nothing but one normalization reads a result."""
    kinds = [type(reader.layer) for reader in network.readers[node.id]]
    return kinds in ([BatchNorm], [InstanceNorm]) and node not in network.ends


def dropout_before_norm(network: LintedNetwork) -> Iterator[Diagnostic]:
    """Dropout changes the variance in training only (Li et al. 2019), which `bn` then expects."""
    for node in network.owners:
        if not isinstance(node.layer, BatchNorm):
            continue
        before = network.input_of(node)
        while before.layer.family in (Family.ACTIVATION, Family.POOLING):
            before = network.input_of(before)
        if isinstance(before.layer, Dropout) and before.layer.p:
            yield network.warn(
                "dropout-before-norm",
                "`dropout` before `bn`: the variance of training is not that of evaluation",
                before,
                related=(Label(node.span, "remembers the variance of training"),),
                help="put `dropout` after the last `bn`",
            )


def dropped_rows(network: LintedNetwork) -> Iterator[Diagnostic]:
    """A stride that does not divide evenly leaves the last rows and columns out of all windows."""
    for node in network.distinct:
        if not isinstance(node.layer, UnaryLayer):
            continue
        x = network.input_of(node).volume
        uncovered = node.layer.uncovered(x)
        if not any(uncovered):
            continue
        lost = [
            _numbered(axis, size, count)
            for axis, size, count in zip(_LINES[x.rank], x.spatial, uncovered, strict=True)
            if count
        ]
        keeps = "`ceil` or padding" if "ceil" in words_of(type(node.layer)) else "padding"
        yield network.warn(
            "dropped-rows",
            f"`{written(node)}` never reads {' and '.join(lost)} of {x}",
            node,
            node.layer.explain_axes(x, [count > 0 for count in uncovered]) or "",
            help=f"{keeps} would keep {'them' if sum(uncovered) > 1 else 'it'}",
        )


#: What the positions along each axis are called, by the number of axes.
_LINES = ((), ("position",), ("row", "column"), ("frame", "row", "column"))


def _numbered(axis: str, size: int, count: int) -> str:
    if count == 1:
        return f"{axis} {size}"
    return f"{axis}s {size - count + 1} {'and' if count == 2 else 'to'} {size}"


def even_kernel_same(network: LintedNetwork) -> Iterator[Diagnostic]:
    """An even window cannot be centred: `same` then pads one side more, and the result moves."""
    for node in network.distinct:
        if node.shares is not None or getattr(node.layer, "padding", None) != "same":
            continue
        x = network.input_of(node).volume
        window = node.layer.reads((x,))[0]
        axes = zip(window.kernel, window.stride, strict=True)
        if any(kernel % 2 == 0 and stride == 1 for kernel, stride in axes):
            yield network.warn(
                "even-kernel-same",
                f"`same` of `{written(node)}` moves the "
                + ("image by half a pixel" if x.is_image else "volume by half a position"),
                node,
                "an even window has no middle",
                help="use an odd kernel",
            )


def strided_same(network: LintedNetwork) -> Iterator[Diagnostic]:
    """With a stride, `same` pads no more than is needed: the end alone, where PyTorch pads both."""
    for node in network.distinct:
        layer: Any = node.layer
        is_padded = node.shares is None and getattr(layer, "padding", None) == "same"
        if not is_padded or set(layer.stride or ()) == {1}:
            continue
        x = network.input_of(node).volume
        kernel, dilation = layer.kernel_size, getattr(layer, "dilation", (1,) * x.rank)
        stride = layer.reads((x,))[0].stride  # which pools derive from their kernel
        sides = pad_sides("same", x, kernel, stride, dilation)
        uneven = [
            side
            for size, step, side in zip(kernel, stride, sides, strict=True)
            if step > 1 and size % 2 and side[0] < side[1]
        ]
        if not uneven:
            continue
        before, after = uneven[0]
        halves = tuple([d * (k // 2) for k, d in zip(kernel, dilation, strict=True)])
        padding = f"p{in_short(halves)}"
        yield network.warn(
            "strided-same",
            f"`same` of `{written(node)}` pads {before} before and {after} after",
            node,
            "TensorFlow's rule",
            help=f"models of PyTorch pad both sides: write `{padding}`",
        )


def softmax_before_loss(network: LintedNetwork) -> Iterator[Diagnostic]:
    """Cross-entropy takes logits; a softmax before it costs precision, and is applied twice."""
    recipe = network.model.recipe or Recipe()
    names = {output.node: output.name for output in network.model.outputs}
    for node in network.ends:
        loss = recipe.loss_of(names.get(node.id, ""))
        if isinstance(node.layer, Softmax) and isinstance(loss, CrossEntropy):
            yield network.warn(
                "softmax-before-loss",
                "a network meant for training ends in logits, not in `softmax`",
                node,
                help="leave `softmax` out: the cross-entropy loss includes it",
            )


def heavy_fc(network: LintedNetwork) -> Iterator[Diagnostic]:
    """Most parameters in one fully-connected layer, after convolutions."""
    total = network.model.trunk.parameters
    if total < LIGHT:
        return
    for node in network.model.layers:
        if node.head is not None or node.layer.family is not Family.DENSE:
            continue
        own = network.model.costs[node.id].parameters
        if 100 * own > HEAVY * total and _is_convolutional(network, node):
            yield network.warn(
                "heavy-fc",
                f"`{written(node)}` holds {100 * own // total} % of the parameters: "
                f"{own:,} of {total:,}",
                node,
                help="`gap` before it passes on one number per channel instead of all positions",
            )


def _is_convolutional(network: LintedNetwork, node: Node) -> bool:
    earlier = network.model.nodes[: node.id]
    return any(other.layer.family is Family.CONVOLUTION for other in earlier)
