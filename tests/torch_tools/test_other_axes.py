"""Networks of 1-D and 3-D volumes in the zoo, against the same layers built by hand in torch."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from oracle import network_class
from torch import Tensor, nn
from torch.nn import functional as F

import archdsl
from archdsl.frontend import read_models
from archdsl.model import Model
from archdsl.text.source import Source
from archdsl.torch_tools.export import export_onnx

ZOO = ROOT / "specs" / "zoo"


def _model(file: str, name: str) -> Model:
    return next(model for model in archdsl.load_all(ZOO / f"{file}.arch") if model.name == name)


def c3d(classes: int) -> nn.Module:
    """With the padding that PyTorch's versions have in the last pool, which gives the same size."""
    widths = [(64,), (128,), (256, 256), (512, 512), (512, 512)]
    layers: list[nn.Module] = []
    channels = 3
    for index, row in enumerate(widths):
        for width in row:
            layers += [nn.Conv3d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        window = (1, 2, 2) if index == 0 else (2, 2, 2)
        layers.append(nn.MaxPool3d(window, padding=(0, 1, 1) if index == 4 else 0))
    layers += [nn.Flatten(), nn.Linear(8192, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096)]
    layers += [nn.ReLU(), nn.Dropout(), nn.Linear(4096, classes)]
    return nn.Sequential(*layers)


def m5() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 1
    for kernel, width, stride in ((80, 128, 4), (3, 128, 1), (3, 256, 1), (3, 512, 1)):
        pad = (kernel - stride) // 2
        layers += [
            nn.Conv1d(channels, width, kernel, stride=stride, padding=pad, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.MaxPool1d(4),
        ]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(512, 10))


class WaveNet(nn.Module):
    """Two convolutions behind each gate: one for the residual path, one for the skip."""

    def __init__(self, r: int, s: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(256, r, 2)
        self.dilations = [2**i for i in range(10)] * 2
        self.tanh = nn.ModuleList(nn.Conv1d(r, r, 2, dilation=d) for d in self.dilations)
        self.gate = nn.ModuleList(nn.Conv1d(r, r, 2, dilation=d) for d in self.dilations)
        self.residual = nn.ModuleList(nn.Conv1d(r, r, 1) for _ in self.dilations)
        self.skip = nn.ModuleList(nn.Conv1d(r, s, 1) for _ in self.dilations)
        self.end = nn.Sequential(nn.ReLU(), nn.Conv1d(s, s, 1), nn.ReLU(), nn.Conv1d(s, 256, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(F.pad(x, (1, 0)))
        total = torch.zeros(())
        for index, dilation in enumerate(self.dilations):
            padded = F.pad(x, (dilation, 0))
            gated = torch.tanh(self.tanh[index](padded)) * self.gate[index](padded).sigmoid()
            total = total + self.skip[index](gated)
            x = x + self.residual[index](gated)
        result: Tensor = self.end(total)
        return result


@pytest.mark.parametrize(
    ("model", "build"),
    [
        pytest.param(_model("c3d", "C3D_Sports1M"), lambda: c3d(487), id="C3D_Sports1M"),
        pytest.param(_model("c3d", "C3D_UCF101"), lambda: c3d(101), id="C3D_UCF101"),
        pytest.param(_model("m5", "M5"), m5, id="M5"),
        pytest.param(_model("wavenet", "WaveNet"), lambda: WaveNet(32, 512), id="WaveNet"),
    ],
)
def test_parameters_are_those_of_layers_built_by_hand(
    model: Model, build: Callable[[], nn.Module]
) -> None:
    with torch.device("meta"):
        hand = build()
    assert sum(p.numel() for p in hand.parameters()) == model.trunk.parameters
    shape = model.input.torch_sizes
    with torch.device("meta"):
        assert hand.eval()(torch.empty(1, *shape)).shape[1:] == model.output.torch_sizes


def test_m5_is_m5() -> None:
    torch.manual_seed(0)
    hand, network = m5().eval(), network_class(_model("m5", "M5"))().eval()
    network.load_state_dict(
        dict(zip(network.state_dict(), hand.state_dict().values(), strict=True))
    )
    x = torch.randn(2, 1, 32000)
    assert torch.equal(network(x), hand(x))


def test_wavenet_sums_skips() -> None:
    """One convolution for both paths is the two convolutions of the paper."""
    torch.manual_seed(0)
    text = (ZOO / "wavenet.arch").read_text("utf-8").replace("8000x256", "300x256")
    text = text.replace("r=32, s=512", "r=8, s=24").replace("expect params = 852_640", "")
    model = archdsl.parse(text)
    hand, network = WaveNet(8, 24).double(), network_class(model)().double()
    paired = [
        torch.cat([getattr(a, name), getattr(b, name)])
        for a, b in zip(hand.residual, hand.skip, strict=True)
        for name in ("weight", "bias")
    ]
    tanh = [p for layer in hand.tanh for p in layer.parameters()]
    gate = [p for layer in hand.gate for p in layer.parameters()]
    rows = [[*tanh[i : i + 2], *gate[i : i + 2], *paired[i : i + 2]] for i in range(2, 40, 2)]
    first = [*tanh[:2], *gate[:2], *hand.residual[0].parameters(), *hand.skip[0].parameters()]
    values = [*hand.stem.parameters(), *first, *(v for row in rows for v in row)]
    values += hand.end.parameters()
    assert len(values) == len(list(network.parameters()))
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), values, strict=True):
            parameter.copy_(value)
    x = torch.randn(1, 256, 300, dtype=torch.double)
    torch.testing.assert_close(network(x), hand(x))


def test_wavenet_does_not_look_ahead() -> None:
    torch.manual_seed(0)
    text = (ZOO / "wavenet.arch").read_text("utf-8").replace("8000x256", "60x256")
    model = archdsl.parse(text.replace("r=32, s=512", "r=4, s=8").replace("expect params", "#"))
    network = network_class(model)()
    x = torch.randn(1, 256, 60, requires_grad=True)
    network(x)[..., 30].sum().backward()
    assert x.grad is not None
    assert x.grad[..., 31:].eq(0).all()
    assert x.grad[..., 30].ne(0).any()


WAYS = """
network Sound: 64x3 → 5 {
  pad 2 0; conv 3 8 relu; maxpool 2 s2 same; { conv 2 8 same bn } ×2
  skip: upsample 2 mode=linear; conv 1 8
  concat { crop skip | deconv 1 4 }; gap; fc 5
}
network Video: 4x12x12x3 → 5 {
  conv 3 8 s1x2x2 p1 bn relu; maxpool 1x2x2; deconv 2 8 s2; avgpool 2; in
  mul { id | gap; conv 1 8 sigmoid }; avgpool 2x3x3; lrn; fc 5
}
"""
MODELS = read_models(Source(WAYS, "ways.arch"))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_onnx_computes_the_same(model: Model) -> None:
    """Exporting compares with torch in onnxruntime."""
    made = export_onnx(model, archdsl.compile(*MODELS))
    assert made.compared == 3
    assert made.difference is not None
    assert made.difference < 1e-5


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_scripts_and_exports(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "ways.py"  # TorchScript reads the source of a class from its file
    path.write_text(archdsl.compile(*MODELS), "utf-8")
    network: nn.Module = runpy.run_path(str(path))[model.name]().eval()
    x = torch.randn(2, *model.input.torch_sizes)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(torch.jit.script(network)(x), expected)
        program = torch.export.export(network, (x,))
        torch.testing.assert_close(program.module()(x), expected)
