"""A training step of the generated modules beside torchvision's same networks.

    python benchmarks/step.py [--rounds 9] [--batch 8] [NAME ...]

Needs the extra ``benchmark``. Forward, loss, backward and a step of SGD with momentum, in float32
on one thread of the CPU, whose own time counts, since the machine may be shared; both networks have
the same weights and images, and take turns. Prints the median step of torchvision's over that of
the generated module's, in each memory format: above 1 the generated one is faster. Exits with 1
where one is slower than the goal allows.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from parity import GENERATED, loss, torchvisions
from torch import nn

#: By the file in generated/torchvision: a network of moderate size.
NETWORKS = {
    "googlenet": "GoogLeNet",
    "resnet": "ResNet18",
    "squeezenet": "SqueezeNet1_1",
    "alexnet": "AlexNet",
}
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
MIN_RATIO = 0.98


def stepper(
    network: nn.Module, batch: int, memory_format: torch.memory_format
) -> Callable[[], None]:
    network = network.train().to(memory_format=memory_format)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 3, 224, 224, generator=generator)
    x = x.contiguous(memory_format=memory_format)
    labels = torch.randint(1000, (batch,), generator=generator)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss(network(x), labels).backward()
        optimizer.step()

    return step


def measure(name: str, file: str, batch: int, rounds: int) -> dict[str, float]:
    """Torchvision's median step over ours, by memory format."""
    ratios = {}
    for title, memory_format in FORMATS.items():
        theirs = torchvisions(name)
        ours: nn.Module = runpy.run_path(str(GENERATED / f"{file}.py"))[name]()
        ours.load_state_dict(theirs.state_dict())
        steps = [stepper(network, batch, memory_format) for network in (theirs, ours)]
        times: list[list[float]] = [[], []]
        for index in range(rounds + 2):  # two to warm up
            for step, seconds in zip(steps, times, strict=True):
                start = time.process_time()
                step()
                if index > 1:
                    seconds.append(time.process_time() - start)
        ratios[title] = median(times[0]) / median(times[1])
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is run")
    parser.add_argument("--batch", type=int, default=8, help="images at a time")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    missed = 0
    print(f"{'network':<16}" + "".join(f"{title:>16}" for title in FORMATS))
    for file in options.names or NETWORKS:
        ratios = measure(NETWORKS[file], file, options.batch, options.rounds)
        missed += sum(ratio < MIN_RATIO for ratio in ratios.values())
        print(f"{NETWORKS[file]:<16}" + "".join(f"{r:>16.2f}" for r in ratios.values()), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
