"""The proof of an import: what it notices, and that the module comes back as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from imports import SMALL, Dropping, imported
from torch import Tensor, nn

import archdsl
from archdsl.importing import importer, text
from archdsl.importing.errors import NotTheSame
from archdsl.importing.from_torch.tracing import trace
from archdsl.importing.structure import structure
from archdsl.layers.volume import Volume


def test_a_text_that_says_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is of the text, whatever wrote it."""
    write = text._Writer._layer

    def wrong(self: text._Writer, layer: archdsl.Layer) -> str:  # type: ignore[name-defined]
        return write(self, layer).replace("silu", "relu")

    monkeypatch.setattr(text._Writer, "_layer", wrong)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU())
    with pytest.raises(NotTheSame, match="its text has other layers"):
        imported(module)


def test_gradients_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module whose output is right and whose gradient is not, as after `detach`."""

    class Detached(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.detach()).clone()  # type: ignore[no-any-return]

    load = importer.compare.__globals__["load_network"]

    def detached(source: str, name: str) -> nn.Module:
        network = load(source, name)
        first = network[0]
        first.register_forward_hook(lambda module, args, output: output.detach())
        return network  # type: ignore[no-any-return]

    monkeypatch.setitem(importer.compare.__globals__, "load_network", detached)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3))
    with pytest.raises(NotTheSame, match="the gradient of the images is there in one"):
        imported(module)


def test_what_it_imports_is_as_it_was() -> None:
    """Weights, buffers, gradients, rates, and the modes of its parts."""
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), Dropping(), nn.Dropout(0.3))
    module[1].eval()
    gradient = torch.ones(3)
    module[0].bias.grad = gradient
    module[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = imported(module)
    for state in (made.state.values(), module.state_dict().values()):
        assert all(map(torch.equal, state, before.values()))
    assert module[0].bias.grad is gradient
    assert all(p.grad is None for p in module[1:].parameters())
    assert [inner.training for inner in module] == [True, False, True, True]
    assert (module[2].drop.p, module[3].p) == (0.2, 0.3)


def test_it_runs_in_the_precision_of_the_module() -> None:
    made = imported(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).double())
    assert made.state["0.weight"].dtype == torch.float64


@pytest.mark.parametrize(
    ("module", "written", "wrong"),
    [
        (Dropping(), "droppath 0.2", "droppath 0.1"),  # which draws what nobody compares
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), "maxpool 2x2 ceil", "maxpool 2x2"),
    ],
)
def test_layers_are_compared_where_numbers_show_nothing(
    module: nn.Module, written: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = importer.write_spec
    monkeypatch.setattr(
        importer, "write_spec", lambda *given: write(*given).replace(written, wrong)
    )
    assert written in imported_text(module, write)
    with pytest.raises(NotTheSame, match="its text has other layers"):
        imported(module)


def imported_text(module: nn.Module, write: Callable[..., str]) -> str:
    graph = trace(module, "Net", {"x": SMALL})
    return write(graph, structure(graph))


def test_a_large_network_is_compared_in_its_size_as_well() -> None:
    layers = [nn.Conv2d(3 if i == 0 else 64, 64, 3, padding=1) for i in range(4)]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))
    made = imported(module, Volume((128, 128, 3)))
    said = "the output for one of 128x128x3, outputs for 2 random images of 64x64x3"
    assert said in made.text
