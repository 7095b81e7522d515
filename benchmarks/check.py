"""How fast archdsl checks, and how its time grows: measured, and held against the goals.

    python benchmarks/check.py [--rounds 3]

Needs the extra ``benchmark``. Exits with 1 where a goal is missed. The machine may be shared:
what is compared is run alternately, the minimum of the rounds counts, and CPU time (user and
system) is what the goals are about; wall time stands beside it.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from archdsl.api import compile, format_source
from archdsl.codegen import entry_names, render_module
from archdsl.elaborate.findings import MAX_FINDINGS
from archdsl.elaborate.placing import MAX_EXPANSION
from archdsl.frontend import diagnose, read_linted, read_models, read_source
from archdsl.model import Model
from archdsl.model.consistency import find_contradictions
from archdsl.network.graph import build_graph
from archdsl.report.table import render_report
from archdsl.text.diagnostics import ArchError
from archdsl.text.parser import parse_program
from archdsl.text.source import Source
from archdsl.validation import validate

SPECS = Path(__file__).resolve().parent.parent / "specs"
SIZES = (2_500, 5_000, 10_000, 20_000)
LAYERS = (1_250, 2_500, 5_000, 10_000)

MAX_START = 1.5
MIN_SPEEDUP = 8.0
MAX_GOOGLENET_MS = 30.0
MAX_RECHECK_MS = 30.0
MAX_LINTS = 10.0
MAX_DOUBLING = 2.2
MIN_RATE = 4_000
MAX_RULES = 25.0
MAX_REPARSE = 1.2
MIN_LAYER_RATE = 1_000
MAX_VALIDATION = 30.0


@dataclass(frozen=True)
class Row:
    """One line of the table; without a verdict it is there to be read."""

    what: str
    measured: str
    goal: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Seconds:
    cpu: float
    wall: float


def least(runs: list[Seconds]) -> Seconds:
    return Seconds(min(run.cpu for run in runs), min(run.wall for run in runs))


def alternately(works: list[Callable[[], Seconds]], rounds: int) -> list[Seconds]:
    """The least time of each work, the works taking turns."""
    runs: list[list[Seconds]] = [[] for _ in works]
    for _ in range(rounds):
        for work, times in zip(works, runs, strict=True):
            times.append(work())
    return [least(times) for times in runs]


def in_process(work: Callable[[], object]) -> Seconds:
    """The time of a call, the collector on, but without what other measurements left behind."""
    gc.collect()
    gc.freeze()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    spent = Seconds(time.process_time() - cpu, time.perf_counter() - wall)
    gc.unfreeze()
    return spent


def as_process(*arguments: str) -> Seconds:
    """A fresh interpreter, with its bytecode cached as that of an installed package is."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        wall,
    )


# ── Whole processes ──────────────────────────────────────────────────────────────────────────

IMPORTS = "import lark, networkx, click"
TORCHINFO = """
import torch, torchvision, torchinfo
with torch.device("meta"):
    model = torchvision.models.vgg16()
print(torchinfo.summary(model, (1, 3, 224, 224), device="meta", verbose=0))
"""


def run_check() -> Seconds:
    return as_process("-m", "archdsl", "check", str(SPECS / "vgg16.arch"))


def start(rounds: int) -> Iterator[Row]:
    run_check()
    imports, check = alternately([lambda: as_process("-c", IMPORTS), run_check], 5 * rounds)
    yield Row(f'python -c "{IMPORTS}"', _shown(imports))
    yield Row("archdsl check vgg16.arch, a process", _shown(check))
    ratio = check.cpu / imports.cpu
    yield Row("  against the imports", f"{ratio:.2f} ×", f"≤ {MAX_START} ×", ratio <= MAX_START)

    as_process("-c", TORCHINFO)
    summary, check = alternately([lambda: as_process("-c", TORCHINFO), run_check], rounds)
    yield Row("torchvision vgg16 on meta, torchinfo", _shown(summary))
    ratio = min(summary.cpu / check.cpu, summary.wall / check.wall)
    yield Row("  against check", f"{ratio:.1f} ×", f"≥ {MIN_SPEEDUP:g} ×", ratio >= MIN_SPEEDUP)


# ── GoogLeNet ────────────────────────────────────────────────────────────────────────────────

FIRST = """
import sys, time
from archdsl.api import parse, read_source
from pathlib import Path
source = read_source(Path(sys.argv[1]))
start = time.process_time()
parse("id; conv 1x1 3", input="8x8x3")
grammar = time.process_time()
parse(source.text)
print(1e3 * (grammar - start), 1e3 * (time.process_time() - grammar))
"""


def googlenet(rounds: int) -> Iterator[Row]:
    path = SPECS / "googlenet.arch"
    command = [sys.executable, "-c", FIRST, str(path)]
    outputs = [subprocess.check_output(command, text=True).split() for _ in range(3 * rounds)]
    grammar, first = (min(float(output[index]) for output in outputs) for index in (0, 1))
    source = read_source(path)
    (again,) = alternately([lambda: in_process(lambda: read_models(source))], 20 * rounds)
    yield Row("reading the grammar, once a process", f"{grammar:.0f} ms")
    goal = f"≤ {MAX_GOOGLENET_MS:g} ms"
    yield Row("googlenet.arch to Model, first", f"{first:.1f} ms", goal, first <= MAX_GOOGLENET_MS)
    later = 1e3 * again.cpu
    yield Row("googlenet.arch to Model, again", f"{later:.1f} ms", goal, later <= MAX_GOOGLENET_MS)
    linted, faulty = alternately(
        [
            lambda: in_process(lambda: read_linted(source)),
            lambda: in_process(lambda: diagnose(Source(source.text.replace("relu", "rellu", 1)))),
        ],
        20 * rounds,
    )
    share = 100 * (linted.cpu - again.cpu) / again.cpu
    yield Row("  its lints beside that", f"{share:.0f} %", f"≤ {MAX_LINTS:g} %", share <= MAX_LINTS)
    recheck = 1e3 * faulty.cpu
    goal = f"≤ {MAX_RECHECK_MS:g} ms"
    yield Row("googlenet.arch, an error", f"{recheck:.1f} ms", goal, recheck <= MAX_RECHECK_MS)


# ── Growth ───────────────────────────────────────────────────────────────────────────────────


def network(statements: list[str], blocks: str = "") -> str:
    body = "\n".join(statements)
    return f"{blocks}network N: 16x16x16 → 16x16x16 {{\n{body}\n}}\n"


BLOCK = "block b(n) { conv 3x3 n same relu }\n"
BLOCKS = "block b{}(n) {{ conv 3x3 n same relu }}\n"

KINDS: dict[str, Callable[[int], str]] = {
    "conv, a line each": lambda n: network(["conv 3x3 16 same relu"] * n),
    "conv, a name each": lambda n: network([f"a{i}: conv 3x3 16 same relu" for i in range(n)]),
    "conv, comments above and behind": lambda n: network(["# a\nconv 3x3 16 same relu  # b"] * n),
    "calls of one block": lambda n: network(["b(16)"] * n, BLOCK),
    "residuals": lambda n: network(["add { conv 3x3 16 same | id }"] * n),
    "blocks defined": lambda n: network(["b0(16)"], "".join(map(BLOCKS.format, range(n)))),
    "a part of the part before": lambda n: network(
        ["a0: relu", *(f"a{i}: add {{ a{i - 1} | id }}" for i in range(1, n))]
    ),
    "values": lambda n: network(
        [f"conv 1x1 v{i}" for i in range(n // 2 - 1)] + ["conv 1x1 16"],
        "".join(f"let v{i} = 8 × 2\n" for i in range(n // 2)),
    ),
}
FAULTS: dict[str, Callable[[int], str]] = {
    "an unknown word a line": lambda n: network(["convv 3x3 16 same relu"] * n),
    "another unknown word a line": lambda n: network(
        [f"a{i}: convv{i} 3x3 16 same relu" for i in range(n)]
    ),
    "a wrong claim a line": lambda n: network(["relu → 8x8x8"] * n),
    "a block faulty in each call": lambda n: network(
        [f"a{i}: b(16)" for i in range(n)], BLOCK.replace("conv", "convv")
    ),
}


def read(source: Source) -> int:
    """Read a text; how many diagnostics it got."""
    try:
        read_models(source)
    except ArchError as error:
        return len(error.diagnostics)
    return 0


def growth(rounds: int) -> Iterator[Row]:
    for name, write in (KINDS | FAULTS).items():
        sources = [Source(write(size)) for size in SIZES]
        found = read(sources[0])
        assert (found > 0) == (name in FAULTS), name
        works = [lambda source=source: in_process(lambda: read(source)) for source in sources]
        times = [seconds.cpu for seconds in alternately(works, rounds)]
        yield Row(f"{SIZES[-1]:,} statements: {name}", f"{times[-1]:.2f} s")
        yield _doubling(times)
        rate = SIZES[-1] / times[-1]
        yield Row("  statements a second", f"{rate:,.0f}", f"≥ {MIN_RATE:,}", rate >= MIN_RATE)
        if found:
            found = read(sources[-1])
            goal = f"≤ {MAX_FINDINGS}"
            yield Row("  diagnostics", str(found), goal, found <= MAX_FINDINGS)


def _doubling(times: list[float]) -> Row:
    """The mean cost of a doubling, which noise moves less than a single one."""
    steps = [later / earlier for earlier, later in pairwise(times)]
    mean = (times[-1] / times[0]) ** (1 / len(steps))
    measured = f"{mean:.2f} × ({', '.join(f'{step:.2f}' for step in steps)})"
    goal = f"≤ {MAX_DOUBLING} ×"
    return Row("  a doubling costs, on average", measured, goal, mean <= MAX_DOUBLING)


# ── Formatting ───────────────────────────────────────────────────────────────────────────────

ROUGH: dict[str, Callable[[int], str]] = {
    "a line each": lambda n: network(["conv 3x3 16  same relu → 16x16x16 # c"] * n),
    "on one line": lambda n: network(["conv 3x3 16 same relu;" * n]),
    "residuals": KINDS["residuals"],
}


def formatting(rounds: int) -> Iterator[Row]:
    for name, write in ROUGH.items():
        sources = [Source(write(size)) for size in LAYERS]
        works = [
            lambda source=source: in_process(lambda: format_source(source)) for source in sources
        ]
        times = [seconds.cpu for seconds in alternately(works, rounds)]
        yield Row(f"formatting {LAYERS[-1]:,} statements {name}", f"{times[-1]:.2f} s")
        yield _doubling(times)


# ── Repeats ──────────────────────────────────────────────────────────────────────────────────


def repeats(rounds: int) -> Iterator[Row]:
    counts = (1, 1_000, 2_000, 4_000)
    sources = [Source(network([f"b(16) ×{count}"], BLOCK)) for count in counts]
    works = [
        lambda source=source: in_process(lambda: parse_program(source)) for source in sources[:2]
    ]
    once, often = alternately(works, 100 * rounds)
    ratio = often.cpu / once.cpu
    yield Row("parsing b(16) ×1", f"{1e3 * once.cpu:.2f} ms")
    yield Row(
        "parsing b(16) ×1000, against ×1", f"{ratio:.2f} ×", f"≤ {MAX_REPARSE} ×",
        ratio <= MAX_REPARSE,
    )  # fmt: skip
    works = [lambda source=source: in_process(lambda: read(source)) for source in sources[1:]]
    times = [seconds.cpu for seconds in alternately(works, 3 * rounds)]
    yield Row("b(16) ×4000 to Model, a copy", f"{1e6 * times[-1] / counts[-1]:.0f} µs")
    yield _doubling(times)


# ── The graph, up to the bound ───────────────────────────────────────────────────────────────

#: Checks a file and prints CPU seconds and the megabytes of the process before and after.
BOUND = """
import resource, sys, time
from pathlib import Path
from archdsl.api import read_linted, read_source
from archdsl.report.table import render_report
def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
source = read_source(Path(sys.argv[1]))
start, before = time.process_time(), megabytes()
models, _ = read_linted(source)
render_report(models[0])
print(time.process_time() - start, before, megabytes())
"""


def bound(rounds: int) -> Iterator[Row]:
    """A network as large as the language allows, as ``archdsl check`` reads and prints it."""
    model = read_models(Source(network(["conv 3x3 16 same relu ×1000"])))[0]
    graph, whole, again = alternately(
        [
            lambda: in_process(lambda: build_graph(model.nodes)),
            lambda: in_process(lambda: read_models(model.source)),
            lambda: in_process(lambda: list(find_contradictions(model.graph, model.names))),
        ],
        10 * rounds,
    )
    yield Row("the graph of 2,000 layers", f"{1e3 * graph.cpu:.1f} ms")
    yield Row("  all volumes inferred again", f"{1e3 * again.cpu:.1f} ms")
    share = 100 * (graph.cpu + again.cpu) / whole.cpu
    yield Row(
        "  share of text to Model", f"{share:.0f} %", f"≤ {MAX_RULES:g} %", share <= MAX_RULES
    )
    counts = [MAX_EXPANSION // 2 // part for part in (8, 4, 2, 1)]
    counts[-1] -= 1  # the statement itself counts, too
    times, sizes = [], []
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder, "large.arch")
            path.write_text(network([f"conv 3x3 16 same relu ×{count}"]), "utf-8")
            output = subprocess.check_output([sys.executable, "-c", BOUND, str(path)], text=True)
            seconds, before, after = map(float, output.split())
            times.append(seconds)
            sizes.append((after - before) / (2 * count))
    yield Row(f"check of {2 * counts[-1]:,} layers", f"{times[-1]:.1f} s")
    yield _doubling(times)
    yield Row("  memory a layer", f"{1e3 * sizes[-1]:.1f} kB")


# ── What is made of a large network ──────────────────────────────────────────────────────────

LARGE: dict[str, Callable[[int], str]] = {
    "in a row": lambda n: network(["conv 3x3 16 same relu"] * (n // 2)),
    "named": lambda n: network([f"a{i}: conv 3x3 16 same relu" for i in range(n // 2)]),
    "residual": lambda n: network(["add { conv 3x3 16 same | id }"] * (n // 2)),
    "in blocks": lambda n: network(["b(16)"] * (n // 2), BLOCK),
}
TARGETS: dict[str, Callable[[Model], object]] = {"compile": compile, "report": render_report}


def targets(rounds: int) -> Iterator[Row]:
    for kind, write in LARGE.items():
        models = [read_models(Source(write(count)))[0] for count in LAYERS]
        for target, render in TARGETS.items():
            render(models[0])
            works = [
                lambda model=model, render=render: in_process(lambda: render(model))
                for model in models
            ]
            times = [seconds.cpu for seconds in alternately(works, rounds)]
            rate = LAYERS[-1] / times[-1]
            yield Row(f"{target} of {LAYERS[-1]:,} layers {kind}", f"{times[-1]:.2f} s")
            yield _doubling(times)
            goal = f"≥ {MIN_LAYER_RATE:,}"
            yield Row("  layers a second", f"{rate:,.0f}", goal, rate >= MIN_LAYER_RATE)


# ── Modules are validated ────────────────────────────────────────────────────────────────────


def resnet152() -> str:
    """The spec of torchvision's ResNets without the networks beside ResNet-152."""
    text = (SPECS / "torchvision" / "resnet.arch").read_text("utf-8")
    return re.sub(r"network ResNet(18|34|50|101) = [^}]*\}\n", "", text)


VALIDATED: dict[str, Callable[[], str]] = {
    "googlenet.arch": lambda: (SPECS / "googlenet.arch").read_text("utf-8"),
    "vgg16.arch": lambda: (SPECS / "vgg16.arch").read_text("utf-8"),
    "ResNet-152": resnet152,
    "1,000 layers, a repeat": lambda: network(["conv 3x3 16 same relu ×500"]),
}


def validation(rounds: int) -> Iterator[Row]:
    for name, text in VALIDATED.items():
        source = Source(text())
        models = read_models(source)
        module = render_module(models)
        networks = dict(zip(entry_names(models), models, strict=True))
        works = [
            lambda source=source: in_process(lambda: read_models(source)),
            lambda models=models: in_process(lambda: render_module(models)),
            lambda module=module, networks=networks: in_process(lambda: validate(module, networks)),
        ]
        reading, writing, validating = alternately(works, 10 * rounds)
        yield Row(f"{name}: module validated", f"{1e3 * validating.cpu:.1f} ms")
        share = 100 * validating.cpu / (reading.cpu + writing.cpu)
        goal = f"≤ {MAX_VALIDATION:g} %"
        yield Row("  against text to module", f"{share:.0f} %", goal, share <= MAX_VALIDATION)
        yield Row("  against Model to module", f"{100 * validating.cpu / writing.cpu:.0f} %")


# ── The table ────────────────────────────────────────────────────────────────────────────────


def _shown(seconds: Seconds) -> str:
    return f"{1e3 * seconds.cpu:,.0f} ms CPU, {1e3 * seconds.wall:,.0f} ms wall"


def print_rows(
    parts: Sequence[Callable[[int], Iterator[Row]]], rounds: int, only: str | None
) -> int:
    """Print what the parts measure, line by line; 1 where a goal is missed."""
    missed = 0
    for part in parts:
        if only not in (None, part.__name__):
            continue
        for row in part(rounds):
            sign = {None: " ", True: "✓", False: "✗"}[row.holds]
            print(f"{sign} {row.what:<50} {row.measured:<30} {row.goal}".rstrip(), flush=True)
            missed += row.holds is False
    print(f"\n{missed or 'no'} goal{'s' * (missed != 1)} missed")
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each work is run")
    parser.add_argument("--only", choices=[part.__name__ for part in PARTS], help="one part")
    options = parser.parse_args()
    return print_rows(PARTS, options.rounds, options.only)


PARTS = (start, googlenet, repeats, bound, targets, validation, formatting, growth)

if __name__ == "__main__":
    sys.exit(main())
