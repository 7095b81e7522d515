"""How a check grows with what is copied: ResNet-1001, 100,000 layers, and what other tools take.

    python benchmarks/scale.py [--rounds 3]

Needs the extras ``benchmark`` and ``export``. Exits with 1 where a goal is missed. Times are CPU
time, the least of the rounds. The machine may be busy, so processes are measured against one that
imports what every check does, and tools against one another.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from check import IMPORTS, Row, alternately, as_process, in_process, print_rows

from archdsl.api import compile, parse

#: He et al. 2016, "Identity mappings in deep residual networks", on images of CIFAR-10.
RESNET_1001 = """
block unit(n, s=1) {
  bn relu
  add {
    conv 1x1 n stride=s nobias; bn relu; conv 3x3 n same nobias; bn relu; conv 1x1 (4*n) nobias
    | if s != 1 or C != 4*n { conv 1x1 (4*n) stride=s nobias } else { id }
  }
}
network ResNet1001: 32x32x3 → 10 {
  conv 3x3 16 same nobias
  unit(16) ×111
  unit(32, 2); unit(32) ×110
  unit(64, 2); unit(64) ×110
  bn relu; gap; fc 10
}
"""
LARGE = {
    "100,000 convolutions": "network N: 8x8x16 → 8x8x16 { conv 3x3 16 same ×100000 }",
    "a block of two layers, 50,000 times": """
        block b(n) { conv 3x3 n same; relu }
        network N: 8x8x16 → 8x8x16 { b(16) ×50000 }
    """,
}
LAYERS = 4_000

MAX_RESNET = 3.2  # of the imports, which are 0.19 s where nothing else runs: 0.6 s
MAX_LINES = 200
MAX_LARGE = 12.0
MAX_MEMORY = 100.0  # MB, of which what every check imports takes 43
MIN_TORCHINFO = 10.0

PEAK = """
import resource, runpy, sys
sys.argv = ["archdsl", "check", sys.argv[1]]
try:
    runpy.run_module("archdsl", run_name="__main__")
except SystemExit:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def deep(rounds: int) -> Iterator[Row]:
    """ResNet-1001, checked and drawn as processes."""
    with tempfile.TemporaryDirectory() as folder:
        path, picture = Path(folder, "resnet1001.arch"), Path(folder, "resnet1001.svg")
        path.write_text(RESNET_1001, "utf-8")
        imports, check, draw = alternately(
            [
                lambda: as_process("-c", IMPORTS),
                lambda: as_process("-m", "archdsl", "check", str(path)),
                lambda: as_process("-m", "archdsl", "draw", str(path), "-o", str(picture)),
            ],
            3 * rounds,
        )
    model = parse(RESNET_1001)
    yield Row(f'python -c "{IMPORTS}"', f"{imports.cpu:.2f} s")
    yield Row(f"check of ResNet-1001, {len(model.layers):,} layers", f"{check.cpu:.2f} s")
    ratio = check.cpu / imports.cpu
    yield Row("  against the imports", f"{ratio:.1f} ×", f"≤ {MAX_RESNET} ×", ratio <= MAX_RESNET)
    yield Row("its picture, folded", f"{draw.cpu:.2f} s")
    lines = compile(model).count("\n")
    yield Row("lines of its module", str(lines), f"≤ {MAX_LINES}", lines <= MAX_LINES)


def large(rounds: int) -> Iterator[Row]:
    """100,000 layers that are copies, as a process that prints all of its table."""
    with tempfile.TemporaryDirectory() as folder:
        for what, text in LARGE.items():
            path = Path(folder, "large.arch")
            path.write_text(text, "utf-8")
            imports, check = alternately(
                [
                    lambda: as_process("-c", IMPORTS),
                    lambda path=path: as_process("-m", "archdsl", "check", str(path)),
                ],
                rounds,
            )
            yield Row(what, f"{check.cpu:.1f} s")
            ratio = check.cpu / imports.cpu
            goal = f"≤ {MAX_LARGE:g} ×"
            yield Row("  against the imports", f"{ratio:.1f} ×", goal, ratio <= MAX_LARGE)
            ran = subprocess.run(
                [sys.executable, "-c", PEAK, str(path)],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            memory = int(ran.stderr) / 1024
            goal = f"≤ {MAX_MEMORY:g} MB"
            yield Row("  memory of the process", f"{memory:.0f} MB", goal, memory <= MAX_MEMORY)


def peers(rounds: int) -> Iterator[Row]:
    """Volumes and parameters of a row of convolutions: this, torchinfo, ONNX shape inference."""
    import onnx
    import torch
    import torchinfo
    from torch import nn

    text = f"network N: 8x8x16 → 8x8x16 {{ conv 3x3 16 same ×{LAYERS} }}"
    with torch.device("meta"):
        module = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding="same") for _ in range(LAYERS)))
    weights = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for i in range(LAYERS)
        for name, shape in ((f"w{i}", (16, 16, 3, 3)), (f"b{i}", (16,)))
    ]
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node(
                    "Conv", [f"x{i}", f"w{i}", f"b{i}"], [f"x{i + 1}"], pads=[1, 1, 1, 1]
                )
                for i in range(LAYERS)
            ],
            "row",
            [
                onnx.helper.make_tensor_value_info("x0", onnx.TensorProto.FLOAT, (1, 16, 8, 8)),
                *weights,
            ],
            [onnx.helper.make_tensor_value_info(f"x{LAYERS}", onnx.TensorProto.FLOAT, None)],
        )
    )
    own, theirs, inferred = alternately(
        [
            lambda: in_process(lambda: parse(text)),
            lambda: in_process(
                lambda: torchinfo.summary(module, (1, 16, 8, 8), device="meta", verbose=0)
            ),
            lambda: in_process(lambda: onnx.shape_inference.infer_shapes(proto)),
        ],
        rounds,
    )
    yield Row(f"{LAYERS:,} convolutions, layers a second", f"{LAYERS / own.cpu:,.0f}")
    yield Row("  torchinfo on meta", f"{LAYERS / theirs.cpu:,.0f}")
    ratio = theirs.cpu / own.cpu
    goal = f"≥ {MIN_TORCHINFO:g} ×"
    yield Row("  this against torchinfo", f"{ratio:.1f} ×", goal, ratio >= MIN_TORCHINFO)
    yield Row("  ONNX shape inference, volumes alone", f"{LAYERS / inferred.cpu:,.0f}")


PARTS = (deep, large, peers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each work is run")
    parser.add_argument("--only", choices=[part.__name__ for part in PARTS], help="one part")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return print_rows(PARTS, options.rounds, options.only)


if __name__ == "__main__":
    sys.exit(main())
