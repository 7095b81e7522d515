"""What a person would write shorter: rows as blocks, sizes as parameters, fewer braces."""

from __future__ import annotations

import torch
from imports import bare_body_of, imported
from torch import Tensor, nn


class Unit(nn.Module):
    def __init__(self, before: int, n: int, kernel: int | tuple[int, int], padding: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, n, kernel, padding=padding)  # type: ignore[arg-type]
        self.bn = nn.BatchNorm2d(n)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


def test_sizes_of_two_numbers_are_parameters() -> None:
    module = nn.Sequential(
        Unit(3, 4, 3, 1), Unit(4, 4, 1, 0), Unit(4, 6, (1, 7), (0, 3)), Unit(6, 4, (7, 1), (3, 0))
    )
    assert bare_body_of(imported(module)) == [
        "block unit(k, n, p=0) { conv: conv k n padding=p; bn: bn; relu }",
        "network Net: 16x16x3 → 16x16x4 {",
        "  unit(3, 4, 1)",
        "  unit(1, 4)",
        "  unit(1x7, 6, 0x3)",
        "  unit(7x1, 4, 3x0)",
        "}",
    ]


def test_what_is_behind_a_default_has_its_name() -> None:
    class Net(nn.Module):
        def __init__(self, n: int, stride: int = 1, groups: int = 1) -> None:
            super().__init__()
            self.conv = nn.Conv2d(n, n, 3, stride, 1, groups=groups)
            self.bn = nn.BatchNorm2d(n)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.bn(self.conv(x)))

    module = nn.Sequential(nn.Conv2d(3, 8, 1), Net(8), Net(8, 2), Net(8, 1, 2), Net(8, 2, 4))
    text = bare_body_of(imported(module))
    assert text[0] == "block net(s=1, g=1) { conv: conv 3x3 8 stride=s p1 groups=g; bn: bn; relu }"
    assert text[3:7] == ["  net()", "  net(2)", "  net(g=2)", "  net(2, 4)"]


class Inverted(nn.Module):
    """A row of layers that some of its kind have in a sum, and others alone."""

    def __init__(self, before: int, n: int, stride: int) -> None:
        super().__init__()
        self.row = nn.Sequential(
            nn.Conv2d(before, 6 * before, 1, bias=False),
            nn.BatchNorm2d(6 * before),
            nn.ReLU6(),
            nn.Conv2d(6 * before, 6 * before, 3, stride, 1, groups=6 * before, bias=False),
            nn.BatchNorm2d(6 * before),
            nn.ReLU6(),
            nn.Conv2d(6 * before, n, 1, bias=False),
            nn.BatchNorm2d(n),
            nn.Dropout(0.1),
        )
        self.is_residual = before == n and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.row(x) if self.is_residual else self.row(x)


def test_rows_that_are_alike_are_a_block() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 1),
        *(Inverted(8, 8, 1), Inverted(8, 16, 2), Inverted(16, 16, 1), Inverted(16, 24, 1)),
    )
    assert bare_body_of(imported(module)) == [
        "block inverted_row(n, n_2, s=1) {",
        "  conv 1x1 n nobias bn relu6",
        "  dwconv 3x3 stride=s p1 nobias bn relu6",
        "  conv 1x1 n_2 nobias bn dropout 0.1",
        "}",
        "block inverted(n) { add { id | row: inverted_row(6*n, n) } }",
        "block inverted2(n, n_2, s=1) { row: inverted_row(n, n_2, s) }",
        "network Net: 16x16x3 → 8x8x24 {",
        "  conv 1x1 8",
        "  inverted(8)",
        "  inverted2(48, 16, 2)",
        "  inverted(16)",
        "  inverted2(96, 24)",
        "}",
    ]


def test_rows_stay_where_a_block_would_be_longer() -> None:
    """Each of two rows is one line; so are two calls, beside the lines of a block."""
    module = nn.Sequential()
    module.add_module("one", nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()))
    module.add_module("two", nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()))
    assert bare_body_of(imported(module))[1:-1] == [
        "  one: { conv 3x3 3 relu }",
        "  two: { conv 3x3 3 relu }",
    ]


def test_a_part_that_is_one_statement_needs_no_braces() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.one(x), self.two(x)], 1)

    module = nn.Sequential()
    module.add_module("mixed", Branches())
    assert bare_body_of(imported(module))[1:-1] == [
        "  mixed: concat { one: conv 1x1 4 | two: conv 3x3 4 same }"
    ]
    names = [*imported(module).state]
    assert names[::2] == ["mixed.one.weight", "mixed.two.weight"]


def test_a_branch_begins_on_one_line() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.one, self.two = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(self.two(torch.relu(self.one(self.pool(x)))))

    body = bare_body_of(imported(nn.Sequential(nn.Conv2d(3, 8, 1), Gate())))
    assert body[:7] == [
        "block gate() {",
        "  mul {",
        "    | id",
        "    | gap; one: conv 1x1 2; relu",
        "      two: conv 1x1 8; sigmoid",
        "  }",
        "}",
    ]


def test_parameters_are_called_otherwise_than_what_is_in_a_block() -> None:
    class Net(nn.Module):
        def __init__(self, kernel: int) -> None:
            super().__init__()
            self.k = nn.Conv2d(3, 3, kernel, padding=kernel // 2)
            self.n = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.n(self.k(x)))

    body = bare_body_of(imported(nn.Sequential(Net(1), Net(3))))
    assert body[0] == "block net(k_2) { k: conv k_2 3 padding=(k_2//2); n: bn; relu }"


def test_names_in_branches_have_their_own_braces() -> None:
    """Two parts without a name, each with a sum in which a layer has the same name (RDNet)."""

    class Stage(nn.Sequential):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("one", nn.Conv2d(3, 3, 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, self.get_submodule("one")(x)], 1)[:, :3]

    body = bare_body_of(imported(nn.Sequential(Stage(), Stage())))
    assert body[0].startswith("block stage()")
    assert "  stage() ×2" in body


def test_what_is_in_a_sum_with_a_name_can_be_read_behind_it() -> None:
    """The names in the branches of a sum end with its braces, where it has a name itself."""

    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            one = self.one(x)
            both = one + self.two(x)
            return torch.cat([both, torch.relu(both) + one], 1)

    made = imported(Cell())
    assert made.is_exact
    assert [line.strip() for line in bare_body_of(made)][1:-1] == [
        "concat {",
        "| add { one: conv 1x1 3 | two: conv 3x3 3 same }",
        "part1: id",
        "| add { part1 relu | one }",
        "}",
    ]
