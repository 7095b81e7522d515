"""Generated modules compute what a plain hand-written twin computes with the same weights."""

from __future__ import annotations

import torch
from conftest import ROOT
from oracle import build
from torch import Tensor, nn
from torch.nn import functional as F

import archdsl


def _assert_equal_outputs(ours: nn.Module, twin: nn.Module, x: Tensor) -> None:
    """Copy the weights in execution order, then compare outputs and gradients."""
    for theirs, own in zip(twin.parameters(), ours.parameters(), strict=True):
        assert theirs.shape == own.shape
        theirs.data.copy_(own.data)
    ours.eval()
    twin.eval()
    expected = twin(x)
    output = ours(x)
    torch.testing.assert_close(output, expected, rtol=0, atol=0)
    output.sum().backward()
    expected.sum().backward()
    for theirs, own in zip(twin.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(own.grad, theirs.grad, rtol=1e-5, atol=1e-6)


class InceptionTwin(nn.Module):
    """Module 3a of GoogLeNet, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(192, 64, kernel_size=1)
        self.b1 = nn.Conv2d(192, 96, kernel_size=1)
        self.b2 = nn.Conv2d(96, 128, kernel_size=3, padding=1)
        self.c1 = nn.Conv2d(192, 16, kernel_size=1)
        self.c2 = nn.Conv2d(16, 32, kernel_size=5, padding=2)
        self.d = nn.Conv2d(192, 32, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b2(F.relu(self.b1(x))))
        c = F.relu(self.c2(F.relu(self.c1(x))))
        d = F.relu(self.d(F.max_pool2d(x, kernel_size=3, stride=1, padding=1)))
        return torch.cat([a, b, c, d], dim=1)


def test_inception() -> None:
    torch.manual_seed(0)
    model = archdsl.parse("inception(64, 96→128, 16→32, 32)", input="28x28x192")
    _assert_equal_outputs(build(model), InceptionTwin(), torch.randn(2, 192, 28, 28))


class AlexNetTwin(nn.Module):
    """Krizhevsky et al. 2012, figure 2, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, kernel_size=11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2)
        self.fc6 = nn.Linear(9216, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.local_response_norm(x, size=5, k=2.0), kernel_size=3, stride=2)
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(F.local_response_norm(x, size=5, k=2.0), kernel_size=3, stride=2)
        x = F.relu(self.conv5(F.relu(self.conv4(F.relu(self.conv3(x))))))
        x = F.max_pool2d(x, kernel_size=3, stride=2).reshape(x.shape[0], -1)
        x = F.dropout(F.relu(self.fc6(x)), 0.5, self.training)
        x = F.dropout(F.relu(self.fc7(x)), 0.5, self.training)
        return self.fc8(x)


def test_alexnet() -> None:
    torch.manual_seed(0)
    model = archdsl.load(ROOT / "specs" / "alexnet.arch")
    _assert_equal_outputs(build(model), AlexNetTwin(), torch.randn(1, 3, 227, 227))


class VGG16Twin(nn.Module):
    """Simonyan & Zisserman 2015, table 1, column D, written out."""

    def __init__(self) -> None:
        super().__init__()
        widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
        before = [3, *widths]
        self.convs = nn.ModuleList(
            nn.Conv2d(before[i], widths[i], kernel_size=3, padding=1) for i in range(13)
        )
        self.fcs = nn.ModuleList([nn.Linear(25088, 4096), nn.Linear(4096, 4096)])
        self.last = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        for index, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            if index in (1, 3, 6, 9, 12):
                x = F.max_pool2d(x, kernel_size=2, stride=2)
        x = x.reshape(x.shape[0], -1)
        for fc in self.fcs:
            x = F.dropout(F.relu(fc(x)), 0.5, self.training)
        return self.last(x)


def test_vgg16() -> None:
    torch.manual_seed(0)
    model = archdsl.load(ROOT / "specs" / "vgg16.arch")
    _assert_equal_outputs(build(model), VGG16Twin(), torch.randn(1, 3, 224, 224))
