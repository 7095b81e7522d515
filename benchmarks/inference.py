"""How fast networks for inference are, beside the plain ones and torchvision's.

    python benchmarks/inference.py [--markdown] [--rounds N] [--batch N ...] [--no-compile] [NAME]

Needs the extra ``benchmark``; with ``torch.compile`` it takes some ten minutes a network, and a C++
compiler. Torchvision's networks with random weights, the same weights in the generated ones, in
float32 on the CPU with two threads. What is compared is run alternately and the median of the
rounds counts: images a second, against torchvision run as it is (eager, contiguous). Exits with 1
where an output differs or a goal is missed. The machine may be shared: only the ratios say much.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import ModuleType

import torch
from parity import enliven
from torch import nn
from torchvision import models

from archdsl.api import compile, load_all
from archdsl.model import Model

ROOT = Path(__file__).resolve().parent.parent
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
#: By the name in torchvision: the spec, the network in it, the constructor's options.
NETWORKS: dict[str, tuple[str, str, dict[str, bool]]] = {
    "googlenet": (
        "specs/torchvision/googlenet.arch",
        "GoogLeNet",
        {"init_weights": False},
    ),
    "resnet50": ("specs/torchvision/resnet.arch", "ResNet50", {}),
    "squeezenet1_1": ("specs/torchvision/squeezenet.arch", "SqueezeNet1_1", {}),
    "vgg16": ("specs/torchvision/vgg.arch", "VGG16", {"init_weights": False}),
    "alexnet": ("specs/torchvision/alexnet.arch", "AlexNet", {}),
}
#: How far outputs may be apart, of the largest.
TOLERANCE = 1e-5
#: In its best memory format a network for inference shall be this much faster than torchvision's
#: as it is, and in no format slower than torchvision's in the same.
MIN_SPEEDUP = 2.0
NOISE = 0.97


@dataclass(frozen=True)
class Way:
    """A network in a memory format, compiled by torch or not."""

    network: str
    memory_format: str
    is_compiled: bool

    @property
    def name(self) -> str:
        return f"{self.network}, torch.compile" if self.is_compiled else self.network


def generated(model: Model, *, inference: bool) -> nn.Module:
    module = ModuleType("generated")
    exec(compile(model, inference=inference), module.__dict__)
    network: nn.Module = getattr(module, model.name)()
    return network.eval()


def build(name: str) -> dict[str, nn.Module]:
    """Torchvision's network, the plain one and that for inference, with the same weights."""
    spec, title, options = NETWORKS[name]
    (model,) = [model for model in load_all(ROOT / spec) if model.name == title]
    torch.manual_seed(0)
    theirs: nn.Module = models.get_model(name, weights=None, **options).eval()
    enliven(theirs)
    plain, inference = generated(model, inference=False), generated(model, inference=True)
    state = theirs.state_dict()
    plain.load_state_dict(state)
    inference.load_training_state(state)
    return {"torchvision": theirs, "plain": plain, "inference": inference}


def difference(networks: dict[str, nn.Module]) -> float:
    """How far the outputs are from torchvision's, of the largest of these."""
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected, *others = [network(x) for network in networks.values()]
    scale = expected.abs().max()
    return max(((other - expected).abs().max() / scale).item() for other in others)


def measure(
    networks: dict[str, nn.Module], batch: int, rounds: int, with_compile: bool
) -> dict[Way, float]:
    """Seconds a batch, by way; infinite where ``torch.compile`` fails."""
    runs: dict[Way, Callable[[], object]] = {}
    found: dict[Way, float] = {}
    for way, network in ways(networks, with_compile):
        memory_format = FORMATS[way.memory_format]
        x = torch.randn(batch, 3, 224, 224).contiguous(memory_format=memory_format)
        found[way] = float("inf")
        try:
            network(x)
        except Exception as error:
            print(f"{way.name} failed: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        runs[way] = lambda network=network, x=x: network(x)
    times: dict[Way, list[float]] = {way: [] for way in runs}
    for _ in range(rounds):
        for way, run in runs.items():
            start = time.perf_counter()
            run()
            times[way].append(time.perf_counter() - start)
    return found | {way: median(seconds) for way, seconds in times.items()}


def ways(networks: dict[str, nn.Module], with_compile: bool) -> Iterator[tuple[Way, nn.Module]]:
    for name, network in networks.items():
        for title, memory_format in FORMATS.items():
            own = copy.deepcopy(network).to(memory_format=memory_format)
            yield Way(name, title, False), own
            if with_compile and name != "plain":
                compiled: nn.Module = torch.compile(copy.deepcopy(own), dynamic=False)
                yield Way(name, title, True), compiled


def rows(name: str, batch: int, times: dict[Way, float]) -> Iterator[list[str]]:
    base = times[Way("torchvision", "contiguous", False)]
    for title in dict.fromkeys(way.name for way in times):
        ratios = []
        for memory_format in FORMATS:
            (seconds,) = [
                t for w, t in times.items() if (w.name, w.memory_format) == (title, memory_format)
            ]
            failed = seconds == float("inf")
            ratios.append("not measured" if failed else f"{base / seconds:.2f}")
        yield [name, str(batch), title, *ratios]


def missed(times: dict[Way, float]) -> Iterator[str]:
    """The goals that do not hold, of what was not compiled by torch."""
    base = times[Way("torchvision", "contiguous", False)]
    best = base / min(times[Way("inference", title, False)] for title in FORMATS)
    if best < MIN_SPEEDUP:
        yield f"{best:.2f} × torchvision eager, not {MIN_SPEEDUP} ×"
    for title in FORMATS:
        ratio = times[Way("torchvision", title, False)] / times[Way("inference", title, False)]
        if ratio < NOISE:
            yield f"{ratio:.2f} × torchvision in {title}"


HEAD = ["network", "batch", "", *FORMATS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/deployment.md")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is run")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16], help="images at a time")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}")

    torch.set_num_threads(2)
    print(_line(HEAD, options.markdown))
    if options.markdown:
        print("| --- | ---: | --- | ---: | ---: |")
    faults: list[str] = []
    for name in options.names or NETWORKS:
        networks = build(name)
        apart = difference(networks)
        if not apart <= TOLERANCE:
            faults.append(f"{name}: outputs are {apart:.1e} apart")
        for batch in options.batch:
            torch.compiler.reset()
            with torch.inference_mode():
                times = measure(networks, batch, options.rounds, not options.no_compile)
            for row in rows(name, batch, times):
                print(_line(row, options.markdown), flush=True)
            faults += [f"{name}, batch {batch}: {fault}" for fault in missed(times)]
    print("", *faults or ["no goals missed"], sep="\n")
    return 1 if faults else 0


def _line(cells: list[str], markdown: bool) -> str:
    if markdown:
        return f"| {' | '.join(cells)} |"
    name, batch, way, *ratios = cells
    return f"{name:<16}{batch:>6}  {way:<26}" + "".join(f"{ratio:>16}" for ratio in ratios)


if __name__ == "__main__":
    sys.exit(main())
