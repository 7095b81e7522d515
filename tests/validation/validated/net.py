"""The networks of net.arch as they may be written: by hand, in more ways than one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Net", "Small"]


class Crop(nn.Module):
    """The middle of a volume, in a given height and width."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height = height
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        top = (x.shape[2] - self.height) // 2
        left = (x.shape[3] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


class Take(nn.Module):
    """Some channels of a volume."""

    def __init__(self, *channels: int) -> None:
        super().__init__()
        self.channels = list(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.channels]


class Cell(nn.Module):
    """A condition decides over a part."""

    def __init__(self, in_channels: int, n: int, s: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, n, 3, stride=s, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n, n, 3, padding=2, dilation=2)
        self.bn2 = nn.BatchNorm2d(n, eps=0.001)
        self.down: nn.Module | None = None
        if s != 1 or in_channels != n:
            self.down = nn.Conv2d(in_channels, n, 1, stride=s, bias=False)
        self.out = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x))
        y = self.relu1(y)
        y = self.conv2(y)
        y = self.bn2(y)
        if self.down is not None:
            x = self.down(x)
        x = y + x
        return self.out(x)


class AuxHead(nn.Sequential):
    """A class that is a row."""

    def __init__(self, in_channels: int, classes: int = 10) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1), nn.Dropout(0.7), nn.Flatten(), nn.Linear(in_channels, classes)
        )


class Outputs(NamedTuple):
    """Heads have a place in evaluation, too."""

    logits: Tensor
    aux1: Tensor | None = None
    aux2: Tensor | None = None


def stage(n: int, relu: bool, activation: Callable[[], nn.Module]) -> nn.Sequential:
    """A function makes modules; one of them by a condition in a list."""
    return nn.Sequential(
        nn.Conv2d(n, n, 3, padding=1, groups=4),
        *([nn.ReLU()] if relu else []),
        nn.Conv2d(n, n, kernel_size=(1, 1)),
        activation(),
    )


class Net(nn.Module):
    """The heads are of one class, and the copies in a list."""

    aux_weights = (0.3, 0.2)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())
        self.pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.first = Cell(8, 8)
        self.skip = Cell(8, 16, s=2)
        self.a = nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU())
        self.b = nn.Conv2d(16, 4, 3, padding=1)
        self.c = nn.AvgPool2d(3, stride=1, padding=1)
        self.aux1 = AuxHead(24)
        self.stage = nn.ModuleList()
        for _ in range(3):
            self.stage.append(stage(24, True, nn.Tanh))
        self.grow = nn.Conv2d(24, 16, 1, bias=False)
        self.aux2 = AuxHead(16)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1), nn.Sigmoid())
        self.cut = nn.Conv2d(16, 16, 3)
        self.crop = Crop(3, 3)
        self.pick = Take(3, 1, 2)
        self.odd = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 2))
        self.head = nn.Sequential(
            nn.Dropout(0.4), nn.Flatten(), nn.Linear(4 * 3 * 3, 20), nn.ReLU(), nn.Linear(20, 10)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.get_parameter("b.weight"), std=0.01)
        nn.init.ones_(self.get_parameter("b.bias"))

    def forward(self, x: Tensor) -> Outputs:
        aux1 = aux2 = None
        x = self.stem(x)
        x = self.pool(x)
        x = self.first(x)
        skip = self.skip(x)
        branches = [branch(skip) for branch in (self.a, self.b, self.c)]
        x = torch.cat(branches, dim=1)
        if self.training:
            aux1 = self.aux1(x)
        for copy in self.stage:
            x = copy(x)
        x = self.grow(x)
        if self.training:
            aux2 = self.aux2(x)
        x = skip + x
        y = self.gate(x)
        x = x * y
        x = self.cut(x)
        x = torch.cat((self.crop(skip), x), 1)
        x = self.pick(x)
        x = self.odd(x)
        x = self.head(x)
        return Outputs(x, aux1, aux2)


class Small(nn.Module):
    """A second network of the file uses a class with other arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Cell(4, 8)
        self.c2 = nn.Conv2d(8, 4, 3)
        self.act = nn.ReLU()
        self.fc1 = nn.Linear(4 * 6 * 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.act(self.c2(x))
        return self.fc1(torch.flatten(x, 1))
