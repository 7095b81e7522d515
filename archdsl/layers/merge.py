"""Merges: branches that see the same input become one volume again."""

from __future__ import annotations

from math import prod

from archdsl.layers.call import Call, Code, InfixCode, OptionalArgument, call, method
from archdsl.layers.fields import BOOLEAN, COUNT, LayerError, attribute, positional
from archdsl.layers.layer import Autocast, Example, Family, MergeLayer, Saved
from archdsl.layers.reach import Reach, reach_all, reads_here
from archdsl.layers.volume import Volume
from archdsl.layers.windows import split_groups
from archdsl.records import dataclass

#: What volumes are called by how many axes they have, in the order of ``AXES``.
_KINDS = ("a vector", "a 1-D volume", "an image", "a 3-D volume")


def _differing(inputs: tuple[Volume, ...], count: int) -> str:
    """Which of the first sizes differ; volumes with other axes differ as a whole."""
    ranks = sorted({x.rank for x in inputs})
    if len(ranks) > 1:
        return f"volume: {_listed([_KINDS[rank] for rank in ranks])}"
    axes = (*inputs[0].axes, "channels")[:count]
    sizes = zip(*(x.sizes[:count] for x in inputs), strict=True)
    return _listed([axis for axis, of in zip(axes, sizes, strict=True) if len(set(of)) > 1])


def _listed(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _equal(name: str, inputs: tuple[Volume, ...]) -> Volume:
    """The one volume of all branches."""
    if len(set(inputs)) > 1:
        differing = _differing(inputs, inputs[0].rank + 1)
        raise LayerError("branch-size-mismatch", f"branches of `{name}` differ in {differing}")
    return inputs[0]


@dataclass(frozen=True)
class Concat(MergeLayer):
    """Joins the channels of its branches, which must agree in all other sizes."""

    name = "concat"
    synonyms = ("cat", "concatenate", "depthconcat")
    family = Family.MERGE
    examples = (
        Example("concat { conv 1x1 8 | conv 3x3 16 same | id }", (14, 14, 4)),
        Example("concat { fc 8 | fc 16 }", (4, 4, 4)),
        Example("concat { conv 3 8 same | id }", (50, 4)),
        Example("concat { conv 1 8 | id }", (3, 5, 5, 4)),
    )

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        if len({x.sizes[:-1] for x in inputs}) > 1:
            differing = _differing(inputs, inputs[0].rank)
            raise LayerError("branch-size-mismatch", f"branches of `concat` differ in {differing}")
        return inputs[0].with_channels(sum(x.channels for x in inputs))

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        return call("torch.cat", operands, 1)


@dataclass(frozen=True)
class Add(MergeLayer):
    """The sum of its branches, whose volumes must be equal."""

    name = "add"
    synonyms = ("sum", "plus")
    akin = ("eltwise",)
    family = Family.MERGE
    examples = (
        Example("add { conv 3x3 same | id }", (14, 14, 4)),
        Example("add { conv 3x3 same | conv 1x1 | id } relu", (14, 14, 4)),
        Example("add { conv 3 same | id }", (50, 4)),
        Example("add { conv 3x1x1 same | id }", (3, 5, 5, 4)),
    )

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        return _equal("add", inputs)

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        return InfixCode("+", operands)


@dataclass(frozen=True)
class Subtract(MergeLayer):
    """The first of its branches less the others; their volumes must be equal."""

    name = "sub"
    synonyms = ("subtract", "minus", "difference")
    family = Family.MERGE
    examples = (
        Example("sub { conv 3x3 same | id }", (14, 14, 4)),
        Example("sub { fc 8 | fc 8 | fc 8 }", (4, 4, 4)),
    )

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        return _equal("sub", inputs)

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        return InfixCode("-", operands)


@dataclass(frozen=True)
class Maximum(MergeLayer):
    """The largest number of its branches at each place; their volumes must be equal."""

    name = "max"
    synonyms = ("maximum", "maxout")
    family = Family.MERGE
    examples = (
        Example("max { conv 3x3 same | conv 1x1 }", (14, 14, 4)),
        Example("max { fc 8 | fc 8 | fc 8 }", (4, 4, 4)),
    )

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        return _equal("max", inputs)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Two by two: each maximum but the last is read by the next.
        return Saved(inputs=True, numbers=(len(inputs) - 2) * out.elements)

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        first, second, *rest = operands
        result = call("torch.maximum", first, second)
        for operand in rest:
            result = call("torch.maximum", result, operand)
        return result


@dataclass(frozen=True)
class Multiply(MergeLayer):
    """The product of its branches: equal volumes, or factors of each channel or each position.

    A factor of each channel is 1x1xC (Hu et al. 2018, SENet), one of each position HxWx1
    (Woo et al. 2018, CBAM).
    """

    name = "mul"
    synonyms = ("multiply", "product")
    family = Family.MERGE
    examples = (
        Example("mul { id | gap conv 1x1 sigmoid }", (14, 14, 4)),
        Example("mul { conv 1x1 | conv 3x3 same }", (14, 14, 4)),
        Example("mul { id | gap conv 1 sigmoid }", (50, 4)),
        Example("mul { id | gap conv 1 sigmoid }", (3, 5, 5, 4)),
        Example("mul { conv 1 | conv 7 1 same }", (14, 14, 4)),
        Example("mul { conv 1 1 | conv 1 | gap; conv 1 }", (50, 4)),
    )

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        largest = max(inputs, key=lambda x: x.elements)
        of_channels = Volume.along((1,) * largest.rank, largest.channels)
        of_positions = largest.with_channels(1) if largest.rank else largest
        if any(x not in (largest, of_channels, of_positions) for x in inputs):
            raise LayerError(
                "branch-size-mismatch",
                "branches of `mul` must have equal volumes, or be factors: 1x1xC of the channels, "
                "HxWx1 of the positions",
            )
        return largest

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        # A factor with one position is read by every position of the result.
        out = self.infer(inputs)
        return tuple(
            reach if x.spatial == out.spatial else reach_all(x, reach.input)
            for x, reach in zip(inputs, reads_here(len(inputs)), strict=True)
        )

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # From left to right: each product but the last is a factor of the next. (Where a factor
        # needs no gradient, PyTorch keeps one tensor less.)
        products = [_broadcast(inputs[:n]) for n in range(2, len(inputs))]
        return Saved(inputs=True, numbers=sum(products))

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        return InfixCode("*", operands)


def _broadcast(inputs: tuple[Volume, ...]) -> int:
    """How many numbers the product of volumes has, each 1 or the same along each axis."""
    return prod(max(sizes) for sizes in zip(*(x.sizes for x in inputs), strict=True))


@dataclass(frozen=True)
class MatrixProduct(MergeLayer):
    """The product of two matrices: NxK by KxM gives NxM, each row times each column.

    A matrix is a volume with one axis; its rows are the positions.
    """

    name = "matmul"
    synonyms = ("matrixproduct", "mm", "bmm", "dot")
    family = Family.MERGE
    autocast = Autocast.LOWERS
    keeps = Saved(inputs=True)
    examples = (
        Example("matmul { conv 1 | gmp; conv 1 9; reshape 3x3 }", (50, 3)),
        Example("matmul { conv 1 6 | fc 12; reshape 6x2 }", (5, 4)),
    )

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        if len(inputs) != 2:
            raise LayerError(
                "branch-size-mismatch", f"`matmul` has two branches, not {len(inputs)}"
            )
        left, right = inputs
        for x in inputs:
            if x.rank != 1:
                raise LayerError(
                    "wrong-axes", f"a branch of `matmul` is a matrix such as 50x3, not {x}"
                )
        if left.channels != right.spatial[0]:
            raise LayerError(
                "branch-size-mismatch",
                f"`matmul` needs as many columns on the left as rows on the right, not "
                f"{left.channels} and {right.spatial[0]}",
            )
        return left.with_channels(right.channels)

    def macs_of(self, inputs: tuple[Volume, ...]) -> int:
        left, right = inputs
        return left.elements * right.channels

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (Reach(input=0), reach_all(inputs[1], 1))

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        # Channels come first in PyTorch: each matrix is there as its transpose.
        left, right = operands
        return InfixCode("@", (right, left))


@dataclass(frozen=True)
class Attend(MergeLayer):
    """Attention of one sequence to another: queries, keys and values (Vaswani et al. 2017).

    Each position of the first branch reads all positions of the others: as much of a value as its
    key agrees with the query. The channels are split into heads; no weights are trained, so the
    branches mostly end in `linear`. With `causal` a position reads those up to its own number.
    """

    name = "attend"
    synonyms = ("crossattention", "cross_attention", "sdpa", "scaleddotproduct")
    family = Family.MERGE
    autocast = Autocast.LOWERS
    examples = (
        Example("attend 2 { linear 8 | linear 8 | linear 8 }", (9, 16)),
        Example("attend 1 { conv 3 4 | conv 2 4 s2 | conv 2 4 s2 }", (9, 4)),
        Example("attend 2 causal { id | id | linear 8 }", (5, 8)),
    )

    heads: int = positional(COUNT, "how many heads the channels are split into")
    causal: bool = attribute(BOOLEAN, "reads no later positions", False, words={"causal": True})

    def infer(self, inputs: tuple[Volume, ...]) -> Volume:
        if len(inputs) != 3:
            raise LayerError(
                "branch-size-mismatch",
                f"`attend` has three branches, queries, keys and values, not {len(inputs)}",
            )
        query, key, value = inputs
        for x in inputs:
            if x.rank != 1:
                raise LayerError(
                    "wrong-axes", f"a branch of `attend` is a sequence such as 50x64, not {x}"
                )
        if query.channels != key.channels:
            raise LayerError(
                "branch-size-mismatch",
                f"queries and keys of `attend` need as many channels, not {query.channels} and "
                f"{key.channels}",
            )
        if key.positions != value.positions:
            raise LayerError(
                "branch-size-mismatch",
                f"each key of `attend` has a value: {key.positions} keys, {value.positions} values",
            )
        for x in (query, value):
            split_groups(x.channels, self.heads, "channels", field="heads")
        return query.with_channels(value.channels)

    def macs_of(self, inputs: tuple[Volume, ...]) -> int:
        query, key, value = inputs
        return query.positions * key.positions * (query.channels + value.channels)

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # Each branch in the order that PyTorch's fused kernels take, their weighted mean, and the
        # logarithm of each softmax's sum. Several heads are joined in a tensor of its own.
        numbers = sum(x.elements for x in inputs) + out.elements * (self.heads > 1)
        sums = 4 * self.heads * out.positions
        return Saved(output=self.heads == 1, numbers=numbers, bytes=sums)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (Reach(input=0), *(reach_all(x, i) for i, x in enumerate(inputs) if i))

    def describe(self) -> str:
        return f"{self.heads} head{'s' * (self.heads > 1)}{' · causal' * self.causal}"

    def combine(self, operands: tuple[Code, ...]) -> Call | InfixCode:
        # B×C×L as B×heads×L×(C/heads), and back. The fused kernels need the channels of a position
        # side by side in memory.
        parts = []
        for x in operands:
            heads = call("torch.unflatten", x, 1, (self.heads, -1))
            parts.append(method(method(heads, "transpose", 2, 3), "contiguous"))
        joined = call(
            "nn.functional.scaled_dot_product_attention",
            *parts,
            is_causal=OptionalArgument(self.causal, False),
        )
        return call("torch.flatten", method(joined, "transpose", 2, 3), 1, 2)
