"""Random structured files: each module computes what the graphs of its networks say.

``python -m fuzz.programs --seed 17 --count 1`` shows one seed again, made small.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from programs.campaign import try_seed
from programs.expressions import Expr, num
from programs.features import features_of
from programs.generate import generate
from programs.judge import NOT_FINITE, judge
from programs.layers import Illegal
from programs.meaning import run
from programs.reduce import reduce
from programs.tree import (
    Argument,
    Block,
    Call,
    Crop,
    For,
    Formal,
    Head,
    Layer,
    Merge,
    Network,
    Program,
    Range,
    Recall,
    Reuse,
    Step,
)

import archdsl

COUNT = 100
#: One test has as many seeds, so that several processes have about as much to do.
CHUNK = 20
FOUND = sorted((Path(__file__).parent / "programs_found").glob("*.arch"))


@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_random_programs_compute_what_their_graphs_say(first: int) -> None:
    trials = [try_seed(seed) for seed in range(first, first + CHUNK)]
    assert not [trial.seed for trial in trials if NOT_FINITE in trial.features]
    failed = [trial for trial in trials if trial.failure]
    assert not failed, "\n".join(
        f"seed {trial.seed}: {trial.failure.kind}: {trial.failure.detail}"
        for trial in failed
        if trial.failure
    )


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_programs_found_before(path: Path) -> None:
    """Programs on which a compiler was wrong, as the reducer left them."""
    failure = judge(path.read_text("utf-8"))
    assert failure is None, f"{failure.kind}: {failure.detail}"


# ── The generator: programs that are all trivial would show nothing ──────────────────────────

#: In how many of 300 files each feature occurs at least.
FEATURES = {
    **dict.fromkeys(["merge concat", "merge add", "call", "repeat", "let", "condition"], 150),
    **dict.fromkeys(["merge depth 2", "family, several members", "networks, several"], 80),
    **dict.fromkeys(["merge depth 3", "condition on C", "condition on H or W", "reference"], 40),
    **dict.fromkeys(["condition on a name", "repeat with reference", "else", "else if"], 60),
    **dict.fromkeys(["condition, nested", "condition in a branch", "condition in copies"], 30),
    **dict.fromkeys(["default", "argument by name", "bn", "dropout", "nobias", "let of C"], 60),
    **dict.fromkeys(["crop", "head", "pair", "bias of a name", "same, stride", "comment"], 30),
    **dict.fromkeys(["merge depth 4", "default of parameters", "default of the volume"], 12),
    **dict.fromkeys(["condition of a family", "call in a block", "call in a branch"], 30),
    **dict.fromkeys(["reuse", "reuse in a block", "reuse in a branch"], 30),
    **dict.fromkeys(["inputs, several", "outputs, named"], 30),
    **dict.fromkeys(["reference in copies that are named", "block at several sizes"], 8),
    **dict.fromkeys(["block, empty for some", "fc in a block", "init of a network"], 15),
    **dict.fromkeys(["same, even kernel", "init of a layer", "name of Python", "merge mul"], 60),
    **dict.fromkeys(["name of generated code", "names alike but for case and _"], 60),
    **dict.fromkeys(["default before a required", "let behind if", "repeat, nested"], 30),
    **dict.fromkeys(["named group, nested", "vector input", "layer's own name", "claim"], 8),
    **{
        f"operator {op}": 15
        for op in "+ - * / // % min max floor ceil round and or not == != < <= > >=".split()
    },
    **dict.fromkeys([f"operator {op}" for op in "** round_to log2 len sum [] list".split()], 12),
    **dict.fromkeys(["for", "for over a list", "name in quotes with a value"], 80),
    **dict.fromkeys(["for, named", "for in a block", "for over a range of a name", "phrase"], 50),
    **dict.fromkeys(["for, nested", "parameter: layer", "merge sub", "merge max"], 30),
    **dict.fromkeys(["parameter: block", "parameter: part", "layer that was given"], 15),
    **dict.fromkeys(["for over a list of a name"], 12),
    **{
        f"layer {word}": 30
        for word in "selu mish softplus hardtanh logsoftmax slice gelu prelu".split()
    },
}


def test_programs_have_every_feature() -> None:
    files: Counter[str] = Counter()
    layers = []
    for seed in range(300):
        found = features_of(*generate(seed))
        files.update(found.keys())
        layers.append(found["layers"])
    rare = {name: files[name] for name, least in FEATURES.items() if files[name] < least}
    assert not rare, f"too rare: {rare}; of 300 files each: {files.most_common()}"
    assert sum(count >= 10 for count in layers) > 200


def test_a_seed_gives_one_program() -> None:
    texts = [str(generate(seed)[0]) for seed in range(20)]
    assert texts == [str(generate(seed)[0]) for seed in range(20)]
    assert len(set(texts)) == 20


# ── The judge: what is wrong is seen ─────────────────────────────────────────────────────────

SOUND = """
block unit(n, s) {
  a: conv 3 n stride=s same bn; tanh; dropout 0.5
  concat { a | conv 1 2; tanh }
}
network Main: 8x8x4 → 3 {
  unit(6, 2); add { id | conv 3 8 same }
  aux1: aux(0.3) { fc 2 }
  mul { id | gap; conv 1 8 nobias; sigmoid }; fc 3
}
"""
#: The module of SOUND, by hand.
MODULE = """
import torch
from torch import nn

class Unit(nn.Module):
    def __init__(self):
        super().__init__()
        padded = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 6, 3, stride=2))
        self.a = nn.Sequential(padded, nn.BatchNorm2d(6))
        self.layers = nn.Sequential(nn.Tanh(), nn.Dropout(0.5))
        self.branch2 = nn.Sequential(nn.Conv2d(6, 2, 1), nn.Tanh())

    def forward(self, x):
        a = self.a(x)
        x = self.layers(a)
        return torch.cat((a, self.branch2(x)), 1)

class Main(nn.Module):
    def __init__(self):
        super().__init__()
        self.unit = Unit()
        self.branch2 = nn.Conv2d(8, 8, 3, padding=1)
        self.aux1 = nn.Sequential(nn.Linear(8 * 4 * 4, 2))
        gate = nn.Conv2d(8, 8, 1, bias=False)
        self.branch4 = nn.Sequential(nn.AdaptiveAvgPool2d(1), gate, nn.Sigmoid())
        self.fc = nn.Linear(8 * 4 * 4, 3)

    def forward(self, x):
        x = self.unit(x)
        x = x + self.branch2(x)
        head = self.aux1(torch.flatten(x, 1)) if self.training else None
        x = x * self.branch4(x)
        x = self.fc(torch.flatten(x, 1))
        return (x, head) if self.training else x
"""
#: What is replaced in the module, by what, and how the kind of the failure begins.
FAULTS = {
    "nothing": ("", "", None),
    "a layer left out": ("x = self.layers(a)", "x = a", "run: input"),
    "a part forgotten": ("torch.cat((a,", "torch.cat((x,", "run: input"),
    "the input of another branch": ("self.branch2(x)), 1", "self.branch2(a)), 1", "run: input"),
    "operands in another order": ("(a, self.branch2(x))", "(self.branch2(x), a)", "run: input"),
    "a skip left out": ("x = x + self.branch2(x)", "x = self.branch2(x)", "run: input"),
    "a factor left out": ("x * self.branch4(x)", "x", "run: input"),
    "a bias too many": (", bias=False", "", "run: keys"),
    "another name": ("fc", "layers", "run: keys"),
    "one layer for two": ("self.fc =", "self.branch2.bias = gate.weight; self.fc =", "run: "),
    "a rate": ("nn.Dropout(0.5)", "nn.Dropout(0.4)", "run: output"),
    "a momentum": ("BatchNorm2d(6)", "BatchNorm2d(6, momentum=0.2)", "run: buffer"),
    "a constant of a normalization": ("BatchNorm2d(6)", "BatchNorm2d(6, eps=0.1)", "run: output"),
    "a padding": ("(0, 1, 0, 1)", "(1, 0, 0, 1)", "run: output"),
    "a stride": ("stride=2", "stride=1", "run: "),
    "an activation": ("nn.Sigmoid()", "nn.Tanh()", "run: output"),
    "the input of a head": (
        "self.aux1(torch.flatten(x,",
        "self.aux1(torch.flatten(-x,",
        "run: input",
    ),
    "a head left out": ("return (x, head)", "return (x,)", "run: number of outputs in training"),
    "a head in evaluation": (" if self.training else x", "", "run: number of outputs in eval"),
    "evaluation alone": ("x = x *", "x = x * (2 - self.training) *", "run: output in evaluation"),
    "no gradient": ("x = x + self.branch2(x)", "x = x + self.branch2(x).detach()", "run: gradient"),
    "an input written over": ("a = self.a(x)", "a = self.a(x); x.data.add_(1)", "run: "),
    "a name that is not there": ("torch.cat", "concatenate", "run: NameError"),
    "a class that is not there": ("class Main", "class Other", "run: AttributeError"),
    "a hint that is not a name": (
        "def forward(self, x)",
        "def forward(self, x: Product)",
        "import: Name",
    ),
    "no Python": ("def forward(self, x)", "def forward(self, x, x)", "import: SyntaxError"),
}


@pytest.mark.parametrize(("old", "new", "kind"), FAULTS.values(), ids=FAULTS)
def test_the_judge_sees_faults(
    old: str, new: str, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile = archdsl.compile

    def by_hand(*models: archdsl.Model, inference: bool = False) -> str:
        assert old in MODULE
        return compile(*models, inference=True) if inference else MODULE.replace(old, new)

    monkeypatch.setattr(archdsl, "compile", by_hand)
    failure = judge(SOUND)
    assert (failure is None) == (kind is None), failure
    if failure and kind:
        assert failure.kind.startswith(kind), failure


def test_the_judge_sees_what_inference_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    compile = archdsl.compile

    def otherwise(*models: archdsl.Model, inference: bool = False) -> str:
        text = compile(*models, inference=inference)
        return text.replace("nn.Tanh()", "nn.Sigmoid()") if inference else text

    monkeypatch.setattr(archdsl, "compile", otherwise)
    failure = judge(SOUND)
    assert failure is not None
    assert failure.kind == "run for inference: output for inference"


def test_the_judge_compares_the_elaboration() -> None:
    network = Network("N", (), num((8, 8, 4)), num((8, 8, 6)), (_conv(6),))
    other = Network("N", (), num((8, 8, 4)), num((8, 8, 5)), (_conv(5),))
    assert judge(str(Program((network,))), run(Program((network,)))) is None
    failure = judge(str(Program((network,))), run(Program((other,))))
    assert failure is not None
    assert failure.kind == "elaborate: volume"


def _conv(channels: int) -> Step:
    return Step((Layer("conv", (num(1), num(channels))),))


def test_illegal_programs_are_illegal() -> None:
    bodies = [
        (Step((Layer("fc", (num(3),)), Layer("maxpool", (num(2),)))),),
        (Step((Crop("a"),)),),
        (Step((Merge("add", ((_conv(3),), (_conv(4),))),)),),
        (Step((Merge("concat", ((Step((Head(0.3, (_conv(3),)),)),), (_conv(4),))),)),),
        (Step((Layer("conv", (num(True), num(4))),)),),
        (Step((Layer("tanh"),), "a"), Step((Layer("tanh"),), "a")),
    ]
    for body in bodies:
        with pytest.raises(Illegal):
            run(Program((Network("N", (), num((8, 8, 4)), num(3), body),)))


def test_what_flows_into_a_block_as_its_part_too_does_not_run_again() -> None:
    skip = Merge("add", ((Step((Recall("skip"),)),), (_conv(4),)))
    block = Block("unit", (Formal("skip", kind="part"),), (Step((skip,)),))
    call = Call("unit", (Argument(Expr("word", ("a",))),))
    a = Step((Layer("conv", (num(1), num(4))),), "a")
    tanh = Step((Layer("tanh"),))
    f, loop = Step((call,), "f"), For("i", Range(num(0), num(2)), (a, tanh, Step((call,))), "f")
    again = Step((Reuse("f"),))

    def program(*body: Step | For) -> Program:
        return Program((block, Network("N", (), num((8, 8, 4)), num((8, 8, 4)), body)))

    with pytest.raises(Illegal, match="unclear"):
        run(program(a, f, again))
    with pytest.raises(archdsl.ArchError, match="was given what flows into it"):
        archdsl.parse(str(program(a, f, again)))
    for legal in (program(a, tanh, f, again), program(loop, again)):
        assert judge(str(legal), run(legal)) is None


def test_the_reducer_leaves_what_matters() -> None:
    seed = next(seed for seed in range(100) if features_of(*generate(seed))["crop"])
    program, _ = generate(seed)

    def has_crop(candidate: Program) -> bool:
        try:
            return features_of(candidate, run(candidate))["crop"] > 0
        except Illegal:
            return False

    smallest = reduce(program, has_crop, seconds=30)
    assert has_crop(smallest)
    assert len(str(smallest).splitlines()) <= 6, smallest
