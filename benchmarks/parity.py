"""Generated networks beside torchvision's: names, outputs and gradients, compared to the last bit.

    python benchmarks/parity.py [--markdown] [NAME ...]

Needs the extra ``benchmark``; all networks take a quarter of an hour and up to 12 GB. Takes the
modules of ``generated/torchvision`` and torchvision's constructors with random weights, in float32
on the CPU. Exits with 1 where anything differs.

Outputs are compared in eval mode on images of two sizes, channels-last and then contiguous;
gradients in training mode without dropout, on two images; weights and running statistics after the
step that follows.
"""

from __future__ import annotations

import argparse
import math
import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

import archdsl
from archdsl.codegen import entry_names

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "generated" / "torchvision"
#: Torchvision's constructors by their names without underscores, and by their names.
NAMES = models.list_models(module=models)
CONSTRUCTORS = {name.replace("_", ""): name for name in NAMES} | {name: name for name in NAMES}
#: A usual size, and one at which pools have a rest to round. Inception's head needs its own size.
SIZES = (224, 150)
TRAINED_SIZES = {"Inception_V3": 299}
#: The classes of layers that are random in training: ours, and torchvision's.
RANDOM = {"Dropout", "DropPath", "StochasticDepth"}

Pairs = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Row:
    name: str
    parameters: int
    #: Keys that both state dicts have, with equal shapes, and all keys that either has.
    keys_equal: int
    keys: int
    #: The largest absolute differences.
    outputs: float
    gradients: float
    after_step: float

    @property
    def holds(self) -> bool:
        return self.keys_equal == self.keys and not (
            self.outputs or self.gradients or self.after_step
        )

    def cells(self) -> list[str]:
        name, parameters, equal, keys, *differences = astuple(self)
        return [name, f"{parameters:,}", f"{equal} of {keys}", *(f"{d:g}" for d in differences)]


HEAD = ["network", "parameters", "keys equal", "outputs", "gradients", "after a step"]


def networks() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """The networks of the specs by name, and what builds them in the generated modules."""
    for path in sorted((ROOT / "specs" / "torchvision").glob("*.arch")):
        specified = archdsl.load_all(path)
        module = runpy.run_path(str(GENERATED / f"{path.stem}.py"))
        for model, entry in zip(specified, entry_names(specified), strict=True):
            yield model.name, module[entry]


def constructor(name: str) -> str:
    """`regnet_x_16gf` of RegNet_X_16GF, and `vgg11` of VGG11."""
    lower = name.lower()
    return CONSTRUCTORS.get(lower) or CONSTRUCTORS[lower.replace("_", "")]


def torchvisions(name: str) -> nn.Module:
    options = {"init_weights": False} if name.startswith(("VGG", "GoogLeNet", "Inception")) else {}
    network: nn.Module = models.get_model(constructor(name), weights=None, **options)
    return network


def enliven(network: nn.Module) -> None:
    """Weights that let the image through to the output, and statistics that are not 0 and 1."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, std=0.1)


def difference(pairs: Pairs) -> float:
    """The largest absolute difference; infinite where a side has a NaN."""
    largest = 0.0
    for ours, theirs in pairs:
        found = (ours - theirs).abs().max().item()
        largest = max(largest, math.inf if math.isnan(found) else found)
    return largest


def compare(name: str, generated: Callable[[], nn.Module]) -> Row:
    torch.manual_seed(0)
    theirs = torchvisions(name)
    enliven(theirs)
    with torch.device("meta"):
        ours = generated()
    shapes = [
        {(key, tuple(value.shape)) for key, value in network.state_dict().items()}
        for network in (ours, theirs)
    ]
    ours = ours.to_empty(device="cpu")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return Row(
        name,
        sum(p.numel() for p in ours.parameters()),
        len(shapes[0] & shapes[1]),
        len(shapes[0] | shapes[1]),
        difference(outputs(ours, theirs)),
        difference(gradients(name, ours, theirs)),
        difference(after_step(ours, theirs)),
    )


def outputs(ours: nn.Module, theirs: nn.Module) -> Pairs:
    for memory_format in (torch.channels_last, torch.contiguous_format):
        for network in (ours, theirs):
            network.eval().to(memory_format=memory_format)
        for size in SIZES:
            x = torch.randn(1, 3, size, size).contiguous(memory_format=memory_format)
            with torch.no_grad():
                yield ours(x), theirs(x)


def loss(output: object, labels: Tensor) -> Tensor:
    """Cross-entropy, with 0.3 of each auxiliary head's, the first head first."""
    if isinstance(output, Tensor):
        return nn.functional.cross_entropy(output, labels)
    if isinstance(output, models.GoogLeNetOutputs):
        output = (output.logits, output.aux_logits1, output.aux_logits2)
    assert isinstance(output, tuple)
    trunk, *heads = (nn.functional.cross_entropy(logits, labels) for logits in output)
    return trunk + sum(0.3 * head for head in heads)


def gradients(name: str, ours: nn.Module, theirs: nn.Module) -> Pairs:
    size = TRAINED_SIZES.get(name, SIZES[0])
    x, labels = torch.randn(2, 3, size, size), torch.tensor([3, 5])
    for network in (ours, theirs):
        for module in network.modules():
            if type(module).__name__ in RANDOM:
                module.p = 0.0
        loss(network.train()(x), labels).backward()
    named = dict(ours.named_parameters())
    for key, other in theirs.named_parameters():
        own = named[key]
        assert own.grad is not None
        assert other.grad is not None
        yield own.grad, other.grad


def after_step(ours: nn.Module, theirs: nn.Module) -> Pairs:
    for network in (ours, theirs):
        torch.optim.SGD(network.parameters(), lr=0.01, weight_decay=0.0005).step()
    state = theirs.state_dict()
    for key, value in ours.state_dict().items():
        yield value, state[key]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="some networks, not all")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/parity.md")
    options = parser.parse_args()
    found = dict(networks())
    if unknown := set(options.names) - set(found):
        parser.error(f"no network {', '.join(sorted(unknown))}")

    if options.markdown:
        print(f"| {' | '.join(HEAD)} |\n| --- |{' ---: |' * (len(HEAD) - 1)}")
    else:
        print(_line(HEAD))
    is_equal = True
    for name, generated in found.items():
        if options.names and name not in options.names:
            continue
        row = compare(name, generated)
        is_equal &= row.holds
        cells = row.cells()
        print(f"| {' | '.join(cells)} |" if options.markdown else _line(cells), flush=True)
    return 0 if is_equal else 1


def _line(cells: list[str]) -> str:
    name, *numbers = cells
    return f"{name:<16}" + "".join(f"{number:>14}" for number in numbers)


if __name__ == "__main__":
    sys.exit(main())
