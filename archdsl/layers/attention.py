"""Attention: each position reads others, as much of each as the two agree."""

from __future__ import annotations

from archdsl.layers.call import Call, OptionalArgument, call
from archdsl.layers.fields import BOOLEAN, COUNT, WHOLE, LayerError, attribute, positional
from archdsl.layers.layer import Autocast, Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all
from archdsl.layers.volume import Volume
from archdsl.layers.windows import need_axes, need_image, split_groups
from archdsl.records import dataclass


@dataclass(frozen=True)
class Attention(UnaryLayer):
    """Multi-head self-attention: each position reads all positions (Vaswani et al. 2017).

    With `causal` a position reads itself and those before it. On an image the positions are those
    of all rows (Wang et al. 2018, Non-local Neural Networks).

    With `window` only positions in the same square window are read, with a trained bias for each
    offset (Liu et al. 2021, Swin). A `shift` moves the windows; those at the border are filled from
    the other side, and there only positions of the same side are read. Along an axis with a single
    window there is no shift.
    """

    name = "attention"
    synonyms = ("selfattention", "self_attention", "multiheadattention", "mha")
    family = Family.DENSE
    autocast = Autocast.LOWERS
    examples = (
        Example("attention 4", (9, 16)),
        Example("attention 2 causal", (9, 16)),
        Example("attention 2 nobias", (4, 3, 8)),
        Example("attention 1", (2, 2, 3, 4)),
        Example("attention 4 window=4", (8, 12, 16)),
        Example("attention 2 window=4 shift=2", (8, 12, 8)),
        Example("attention 2 window=4 shift=1 nobias", (4, 8, 8)),
        Example("attention 1 window=3 shift=1", (3, 3, 4)),
    )
    support = '''\
class SelfAttention(nn.Module):
    """Multi-head attention of all positions to all, or to those up to their own."""

    def __init__(self, channels: int, heads: int, causal: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.in_proj = nn.Linear(channels, 3 * channels, bias=bias)
        self.out_proj = nn.Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.in_proj(x.flatten(2).transpose(1, 2))
        tokens = tokens.view(x.shape[0], -1, 3, self.heads, x.shape[1] // self.heads)
        query, key, value = tokens.permute(2, 0, 3, 1, 4).unbind()
        tokens = nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=self.causal
        )
        tokens = self.out_proj(tokens.transpose(1, 2).flatten(2))
        return tokens.transpose(1, 2).reshape(x.shape)
'''
    more_support = (
        '''\
class WindowAttention(nn.Module):
    """Multi-head attention inside square windows, with a bias for each offset."""

    def __init__(
        self,
        channels: int,
        heads: int,
        window: int,
        height: int,
        width: int,
        shift: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.height = height
        self.width = width
        self.down = shift if height > window else 0
        self.right = shift if width > window else 0
        self.qkv = nn.Linear(channels, 3 * channels, bias=bias)
        self.proj = nn.Linear(channels, channels, bias=bias)
        table = 0.02 * torch.randn((2 * window - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(table)

    def windows(self, x: Tensor) -> Tensor:
        """The positions of each window in a row."""
        rows, columns = self.height // self.window, self.width // self.window
        x = x.reshape(-1, rows, self.window, columns, self.window, x.shape[3])
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def biases(self) -> Tensor:
        """For each pair of positions in a window, the bias of the offset between them."""
        table = self.relative_position_bias_table
        place = torch.arange(self.window, device=table.device)
        offset = place[:, None] - place + self.window - 1
        number = (2 * self.window - 1) * offset[:, None, :, None] + offset[:, None]
        return table[number.flatten(0, 1).flatten(1, 2)].permute(2, 0, 1)

    def are_apart(self) -> Tensor:
        """Which pairs of positions share a shifted window, but no border in the volume."""
        device = self.relative_position_bias_table.device
        row = torch.arange(self.height, device=device)[:, None]
        column = torch.arange(self.width, device=device)
        is_below = (row >= self.height - self.down).long()
        parts = is_below + 2 * (column >= self.width - self.right).long()
        part = self.windows(parts[None, :, :, None])
        return (part != part.transpose(2, 3))[0, :, None]

    def forward(self, x: Tensor) -> Tensor:
        count = self.window * self.window
        tokens: Tensor = x.movedim(1, -1).roll((-self.down, -self.right), (1, 2))
        tokens = self.qkv(self.windows(tokens))
        tokens = tokens.view(x.shape[0], -1, count, 3, self.heads, x.shape[1] // self.heads)
        query, key, value = tokens.permute(3, 0, 1, 4, 2, 5).unbind()
        bias = self.biases()
        if self.down or self.right:
            bias = bias.masked_fill(self.are_apart(), float("-inf"))
        score = query * query.shape[4] ** -0.5 @ key.transpose(3, 4) + bias
        tokens = score.softmax(4) @ value
        tokens = self.proj(tokens.transpose(2, 3).flatten(3))
        rows, columns = self.height // self.window, self.width // self.window
        tokens = tokens.view(-1, rows, columns, self.window, self.window, x.shape[1])
        tokens = tokens.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return tokens.roll((self.down, self.right), (1, 2)).movedim(-1, 1)
''',
    )

    heads: int = positional(COUNT, "how many heads the channels are split into")
    causal: bool = attribute(BOOLEAN, "reads no later positions", False, words={"causal": True})
    window: int | None = attribute(COUNT, "height and width of windows", None)
    shift: int = attribute(WHOLE, "by how much the windows are moved", 0)
    bias: bool = attribute(BOOLEAN, "adds one number per channel", True, words={"nobias": False})

    def infer_volume(self, x: Volume) -> Volume:
        need_axes(x, self.name)
        split_groups(x.channels, self.heads, "channels", field="heads")
        if self.window is not None:
            self._check_windows(x, self.window)
        elif self.shift:
            raise LayerError("wrong-value", "`shift` moves windows: it needs a `window`")
        return x

    def _check_windows(self, x: Volume, window: int) -> None:
        need_image(x, "attention window=…")
        if self.causal:
            raise LayerError("wrong-value", "`causal` is for a sequence, not for windows")
        for axis, size in zip(x.axes, x.spatial, strict=True):
            if size % window:
                raise LayerError(
                    "wrong-value",
                    f"windows of {window} do not fill a {axis} of {size}",
                    help="choose another window, or `pad` the input",
                )
        if self.shift >= window:
            raise LayerError(
                "wrong-value", f"a shift of {self.shift} is not smaller than the window of {window}"
            )

    def count_parameters(self, x: Volume) -> int:
        offsets = 0 if self.window is None else (2 * self.window - 1) ** 2
        return 4 * x.channels * (x.channels + self.bias) + offsets * self.heads

    def count_macs(self, x: Volume) -> int:
        # Queries, keys, values and the result, then the products of all pairs of positions.
        read = x.positions if self.window is None else self.window**2
        return 4 * x.positions * x.channels**2 + 2 * x.positions * read * x.channels

    def saves(self, inputs: tuple[Volume, ...], out: Volume) -> Saved:
        # The tokens in a row, queries, keys and values, their weighted mean; and of PyTorch's fused
        # kernels the logarithm of each softmax's sum. They keep no weights of pairs. (An H200 kept
        # as much in bfloat16 with 16 and with 64 channels in a head, and more with 4.)
        kept = Saved(numbers=5 * out.elements, bytes=4 * self.heads * out.positions)
        if self.window is None:
            return kept
        # Tokens, queries, keys, values and their weighted mean; a single head's are views of one
        # tensor, besides the divided queries. Then the weights, the offsets and what is apart.
        pairs = out.positions * self.window**2
        once = 8 * self.window**4
        if any(self.shift and size > self.window for size in out.spatial):
            once += pairs
        tensors = 5 if self.heads > 1 else 6
        return Saved(numbers=tensors * out.elements, raised=self.heads * pairs, once=once)

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        more = " · causal" if self.causal else ""
        if self.window is not None:
            more = f" · {self.window}×{self.window}" + (
                f" shift {self.shift}" if self.shift else ""
            )
        return f"{self.heads} head{'s' * (self.heads > 1)}{more}"

    def emit(self, x: Volume) -> Call:
        if self.window is not None:
            return call(
                "WindowAttention",
                x.channels,
                self.heads,
                self.window,
                *x.spatial,
                shift=OptionalArgument(self.shift, 0),
                bias=OptionalArgument(self.bias, True),
            )
        return call(
            "SelfAttention",
            x.channels,
            self.heads,
            causal=OptionalArgument(self.causal, False),
            bias=OptionalArgument(self.bias, True),
        )
