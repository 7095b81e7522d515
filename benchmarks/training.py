"""How fast ``archdsl train`` trains: against plain PyTorch, measured and held against the goals.

    python benchmarks/training.py [--rounds 3] [--only lenet,alexnet,googlenet,overhead]

Needs the extra ``train``. Exits with 1 where a goal is missed. Two loops over the same made-up
images take turns in one process: ours, which is ``archdsl.train.run.train`` as the command calls
it, and a plain one as PyTorch's tutorial writes it. A round is some steps after a few to warm up;
its figure is its median step, from the end of the one before: reading the data is in it,
validation and checkpoints are not. What is compared is the ratio of two rounds that follow each
other, and the median of these counts.

On a CPU the time is that of the one thread that computes, since the machine may be shared. On a
GPU it is the clock's.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.models import alexnet, googlenet

import archdsl
from archdsl.codegen import entry_name
from archdsl.model import Model
from archdsl.recipe import Recipe
from archdsl.recipe.optimizers import SGD
from archdsl.torch_tools.network import load_network
from archdsl.train.data import open_data
from archdsl.train.loop import TrainingLoop, Watcher
from archdsl.train.options import TrainOptions
from archdsl.train.run import train_model

SPECS = Path(__file__).resolve().parent.parent / "specs"

MIN_RATIO = 1.0
MAX_OVERHEAD = 0.05
WARM_UP = 3
#: A case with so many steps in a round has short ones.
SHORT = 50
RATE, MOMENTUM = 0.001, 0.9
AUX_WEIGHT = 0.3

LENET = """
network LeNet: 32x32x1 → 10 {
  conv 5x5 6 tanh; avgpool 2 s2; conv 5x5 16 tanh; avgpool 2 s2
  conv 5x5 120 tanh; fc 84 tanh; fc 10
}
"""

#: torchvision's AlexNet, which is that of Krizhevsky 2014, "One weird trick".
ALEXNET = """
network AlexNet: 224x224x3 → 1000 {
  conv 11x11 64 s4 p2 relu; maxpool 3 s2; conv 5x5 192 same relu; maxpool 3 s2
  conv 3x3 384 same relu; conv 3x3 256 same relu ×2; maxpool 3 s2
  flatten; dropout 0.5; fc 4096 relu dropout 0.5; fc 4096 relu; fc 1000
}
"""

#: torchvision's GoogLeNet, which has batch normalization, and 3x3 in place of 5x5.
GOOGLENET = """
block unit(k, n, s=1) { conv k n stride=s same nobias; bn eps=0.001; relu }
block mix(n1, r3→n3, r5→n5, np) {
  concat {
    | unit(1, n1)
    | unit(1, r3); unit(3, n3)
    | unit(1, r5); unit(3, n5)
    | maxpool 3 s1 same; unit(1, np)
  }
}
network GoogLeNet: 224x224x3 → 1000 {
  conv 7x7 64 s2 p3 nobias; bn eps=0.001; relu; maxpool 3 s2 ceil
  unit(1, 64); unit(3, 192); maxpool 3 s2 ceil
  mix(64, 96→128, 16→32, 32); mix(128, 128→192, 32→96, 64); maxpool 3 s2 ceil
  mix(192, 96→208, 16→48, 64)
  a: aux(0.3) { adaptiveavgpool 4; unit(1, 128); fc 1024 relu dropout 0.7; fc 1000 }
  mix(160, 112→224, 24→64, 64); mix(128, 128→256, 24→64, 64); mix(112, 144→288, 32→64, 64)
  b: aux(0.3) { adaptiveavgpool 4; unit(1, 128); fc 1024 relu dropout 0.7; fc 1000 }
  mix(256, 160→320, 32→128, 128); maxpool 2 s2 ceil
  mix(256, 160→320, 32→128, 128); mix(384, 192→384, 48→128, 128)
  gap; dropout 0.2; fc 1000
}
"""


def lenet() -> nn.Module:
    """LeNet-5, as one writes it by hand."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


@dataclass(frozen=True)
class Case:
    text: str
    twin: Callable[[], nn.Module]
    batch: int
    steps: int


CASES = {
    "lenet": Case(LENET, lenet, 64, 100),
    "alexnet": Case(ALEXNET, alexnet, 16, 6),
    "googlenet": Case(GOOGLENET, lambda: googlenet(aux_logits=True, init_weights=False), 8, 6),
}
#: Held against nothing but its own generated module.
NIN = Case((SPECS / "nin_cifar10.arch").read_text("utf-8"), nn.Identity, 64, 4)


@dataclass(frozen=True)
class Row:
    """One line of the table; without a verdict it is there to be read."""

    what: str
    measured: str
    goal: str = ""
    holds: bool | None = None


class Clock(Watcher):
    """When the steps of a run ended."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.ends: list[float] = []

    def tick(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
            self.ends.append(time.perf_counter())
        else:
            self.ends.append(time.thread_time())

    def on_step(self, loop: TrainingLoop) -> None:
        self.tick()

    def step(self) -> float:
        """The median step, in seconds."""
        ends = self.ends[WARM_UP:]
        return median(b - a for a, b in pairwise(ends))


def ours(model: Model, case: Case, device: str) -> float:
    """A step of ``archdsl train``."""
    clock = Clock(device)
    recipe = Recipe(_data(case), case.batch, 1, optimizer=SGD(lr=RATE, momentum=MOMENTUM))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("archdsl.train.run.progress_watchers", return_value=[clock]),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        options = TrainOptions(device=device, devices=1, output=Path(folder))  # type: ignore[arg-type]
        train_model(model, archdsl.compile(model), recipe, options)
    return clock.step()


def plain(network: nn.Module, model: Model, case: Case, device: str) -> float:
    """A step of a loop as anyone writes it."""
    clock = Clock(device)
    data = open_data(_data(case), input=model.input, classes=model.output.channels)
    loader = DataLoader(data.train, batch_size=case.batch, shuffle=True)
    network = network.to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    for images, labels in loader:
        optimizer.zero_grad()
        loss = _loss(network(data.normalize(images.to(device))), labels.to(device))
        loss.backward()
        optimizer.step()
        clock.tick()
    return clock.step()


def _loss(output: Any, labels: Tensor) -> Tensor:
    if isinstance(output, Tensor):
        return functional.cross_entropy(output, labels)
    trunk, *heads = output
    weighted = [AUX_WEIGHT * functional.cross_entropy(head, labels) for head in heads]
    return functional.cross_entropy(trunk, labels) + sum(weighted)


def _data(case: Case) -> str:
    return f"fake:{case.batch * (case.steps + WARM_UP + 1)}"


def generated(model: Model) -> nn.Module:
    """The network that our loop trains, in the memory format it uses."""
    network = load_network(archdsl.compile(model), entry_name(model))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def alternately(works: list[Callable[[], float]], rounds: int) -> list[list[float]]:
    """The results of each work, the works taking turns."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, results in zip(works, found, strict=True):
            gc.collect()
            results.append(work())
    return found


def against_twin(name: str, rounds: int, device: str) -> Iterator[Row]:
    case = CASES[name]
    model = archdsl.parse(case.text)
    twin = case.twin()
    assert _count(twin) == _count(generated(model)), f"{name} is not the same network"
    works = [lambda: ours(model, case, device), lambda: plain(case.twin(), model, case, device)]
    mine, theirs = alternately(works, rounds)
    yield Row(f"{name}, batch {case.batch}: archdsl train", _rate(mine, case))
    yield Row("  a plain loop, the same network by hand", _rate(theirs, case))
    ratio = median(b / a for a, b in zip(mine, theirs, strict=True))
    yield Row("  ratio", f"{ratio:.3f}", f"≥ {MIN_RATIO}", ratio >= MIN_RATIO)


def overhead(rounds: int, device: str) -> Iterator[Row]:
    """On a small network the costs of a step weigh most; the other is of a usual size."""
    for name, case in (("lenet", CASES["lenet"]), ("nin_cifar10", NIN)):
        yield from _overhead(name, case, rounds, device)


def _overhead(name: str, case: Case, rounds: int, device: str) -> Iterator[Row]:
    model = archdsl.parse(case.text)
    works = [
        lambda: ours(model, case, device),
        lambda: plain(generated(model), model, case, device),
    ]
    # A round of short steps is over in a second, and says little by itself.
    mine, theirs = alternately(works, rounds * 5 if case.steps >= SHORT else rounds)
    share = median(a / b for a, b in zip(mine, theirs, strict=True)) - 1
    yield Row(f"{name}, batch {case.batch}: archdsl train", f"{1e3 * median(mine):,.1f} ms a step")
    yield Row("  a plain loop, the generated module", f"{1e3 * median(theirs):,.1f} ms a step")
    goal = f"≤ {MAX_OVERHEAD:.0%}"
    yield Row("  overhead", f"{share:+.1%}", goal, share <= MAX_OVERHEAD)


def _rate(steps: list[float], case: Case) -> str:
    return f"{case.batch / median(steps):,.1f} images/s"


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join([*CASES, "overhead"]))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    missed = 0
    for name in arguments.only.split(","):
        if name == "overhead":
            rows = overhead(arguments.rounds, arguments.device)
        else:
            rows = against_twin(name, arguments.rounds, arguments.device)
        for row in rows:
            sign = {True: "✓", False: "✗", None: " "}[row.holds]
            print(f"{sign} {row.what:<44} {row.measured:<22} {row.goal}", flush=True)
            missed += row.holds is False
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
