"""Weights under other names: torchvision's networks and two specs of one, refusals, the command."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from oracle import build
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models

import archdsl
from archdsl.cli import main
from archdsl.frontend import read_models
from archdsl.model import Model
from archdsl.text.source import Source
from archdsl.torch_tools.errors import ToolError
from archdsl.torch_tools.matching import Owner, match_owners, read_owners
from archdsl.torch_tools.port import order_as, plan_port, port, shapes_of, target_shapes

ALEXNET = """
network Other: 224x224x3 → 1000 {
  c1: conv 11x11 64 s4 p2 relu; maxpool 3 s2
  c2: conv 5x5 192 p2 relu; maxpool 3 s2
  c3: conv 3x3 384 p1 relu; c4: conv 3x3 256 p1 relu; c5: conv 3x3 256 p1 relu; maxpool 3 s2
  head: { dropout 0.5; fc 4096 relu; dropout 0.5; fc 4096 relu; fc 1000 }
}
"""
VGG11_BN = """
network Other: 224x224x3 → 1000 {
  stage1: { conv 3x3 64 p1 bn relu; maxpool 2 s2 }
  stage2: { conv 3x3 128 p1 bn relu; maxpool 2 s2 }
  stage3: { conv 3x3 256 p1 bn relu ×2; maxpool 2 s2 }
  stage4: { conv 3x3 512 p1 bn relu ×2; maxpool 2 s2 }
  stage5: { conv 3x3 512 p1 bn relu ×2; maxpool 2 s2 }
  fc1: fc 4096; relu dropout 0.5; fc2: fc 4096; relu dropout 0.5; fc3: fc 1000
}
"""
#: The shortcut comes first here, torchvision registers it last.
RESNET18 = """
block unit(n, s=1) {
  add {
    | if s != 1 or C != n { short: { conv 1x1 n stride=s nobias bn } } else { id }
    | main: { conv 3x3 n stride=s padding=1 nobias bn relu; conv 3x3 n same nobias bn }
  }
  relu
}
network Other: 64x64x3 → 1000 {
  stem: { conv 7x7 64 s2 p3 nobias bn relu; maxpool 3 s2 p1 }
  stage1: { unit(64) ×2 }
  stage2: { unit(128, 2); unit(128) }
  stage3: { unit(256, 2); unit(256) }
  stage4: { unit(512, 2); unit(512) }
  gap; logits: fc 1000
}
"""
RESNET50 = """
block deep(n, s=1) {
  add {
    | if s != 1 or C != 4*n { short: { conv 1x1 (4*n) stride=s nobias bn } } else { id }
    | conv 1x1 n nobias bn relu; conv 3x3 n stride=s padding=1 nobias bn relu
      conv 1x1 (4*n) nobias bn
  }
  relu
}
network Other: 64x64x3 → 1000 {
  stem: { conv 7x7 64 s2 p3 nobias bn relu; maxpool 3 s2 p1 }
  stage1: { deep(64) ×3 }
  stage2: { deep(128, 2); deep(128) ×3 }
  stage3: { deep(256, 2); deep(256) ×5 }
  stage4: { deep(512, 2); deep(512) ×2 }
  gap; logits: fc 1000
}
"""
SQUEEZENET = """
block burn(s, e) {
  conv 1x1 s relu
  concat { conv 1x1 e relu | conv 3x3 e p1 relu }
}
network Other: 64x64x3 → 1000 {
  stem: { conv 3x3 64 s2 relu; maxpool 3 s2 ceil }
  early: { burn(16, 64) ×2; maxpool 3 s2 ceil; burn(32, 128) ×2; maxpool 3 s2 ceil }
  late: { burn(48, 192) ×2; burn(64, 256) ×2 }
  dropout 0.5; last: conv 1x1 1000 relu; gap flatten
}
"""
CASES = {
    "alexnet": ALEXNET,
    "vgg11_bn": VGG11_BN,
    "resnet18": RESNET18,
    "resnet50": RESNET50,
    "squeezenet1_1": SQUEEZENET,
}
#: In the first stage the shortcut has the shapes of the last convolution beside it.
MAPS = {"resnet50": [("layer1.0.downsample", "stage1.0.short")]}


def constructed(name: str) -> nn.Module:
    """Torchvision's network with random weights and statistics that are not 0 and 1."""
    torch.manual_seed(0)
    options = {"init_weights": False} if name.startswith("vgg") else {}
    network: nn.Module = models.get_model(name, weights=None, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, std=0.1)
    return network


def moved(state: dict[str, Tensor], model: Model, name: str) -> dict[str, Tensor]:
    maps = MAPS.get(name, [])
    return port(state, plan_port(shapes_of(state), target_shapes(model), maps=maps))


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_torchvisions_weights_under_other_names(name: str) -> None:
    """They fill the module, and it computes what torchvision's does, to the last bit."""
    theirs, model = constructed(name).eval(), archdsl.parse(CASES[name])
    ours = build(model, "meta").to_empty(device="cpu").eval()
    ours.load_state_dict(moved(theirs.state_dict(), model, name), strict=True)
    x = torch.randn(1, *model.input.torch_sizes)
    assert torch.equal(ours(x), theirs(x))
    assert not torch.equal(ours(x), ours(-x))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_between_two_specs_in_both_directions(name: str) -> None:
    other = archdsl.parse(CASES[name])
    kind, wanted = ("resnet", "ResNet18") if name == "resnet18" else ("squeezenet", "SqueezeNet1_1")
    path = ROOT / "specs" / "torchvision" / f"{kind}.arch"
    (first,) = (model for model in archdsl.load_all(path) if model.name == wanted)
    state = constructed(name).state_dict()
    there = moved(state, other, name)
    assert list(there) == list(target_shapes(other))
    back = moved(there, first, name)
    assert list(back) == list(state)
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_the_shortcut_of_resnet50_is_not_guessed() -> None:
    with torch.device("meta"):
        source = shapes_of(models.resnet50(weights=None).state_dict())
    with pytest.raises(ToolError) as refusal:
        plan_port(source, target_shapes(archdsl.parse(RESNET50)))
    assert str(refusal.value) == (
        "ambiguous: layer1.0.conv3 (weight 256×64×1×1), layer1.0.downsample.0 (weight 256×64×1×1) "
        "of the source could each be more than one of stage1.0.short.0 (weight 256×64×1×1), "
        "stage1.0.branch2.6 (weight 256×64×1×1) of the spec, whose orders differ; say which with "
        "--map"
    )


# ── Matching ─────────────────────────────────────────────────────────────────────────────────


def owners(*names: str) -> tuple[Owner, ...]:
    """``path:kind`` each; a kind is a shape of its own, ``x`` a normalization."""
    sizes = {"A": (8, 3, 3, 3), "B": (8, 8, 3, 3), "C": (8, 3, 1, 1), "D": (8, 8, 1, 1)}
    entries: list[tuple[str, tuple[int, ...]]] = []
    for name in names:
        path, kind = name.split(":")
        if kind == "x":
            entries += [(f"{path}.{leaf}", (8,)) for leaf in ("weight", "bias", "running_mean")]
        else:
            entries.append((f"{path}.weight", sizes[kind]))
    return read_owners(entries)


def matched(source: tuple[Owner, ...], target: tuple[Owner, ...], **options: object) -> list[str]:
    pairs = match_owners(source, target, **options)
    return [f"{p.source.path}→{p.target.path} {p.ground}" for p in pairs]


def test_equal_names_win_over_order() -> None:
    found = matched(owners("b:B", "a:B"), owners("a:B", "b:B"))
    assert found == ["a→a name", "b→b name"]


def test_equal_shapes_go_by_order_and_single_ones_by_shape() -> None:
    found = matched(owners("p:A", "q:B", "r:B"), owners("0:A", "1:B", "2:B"))
    assert found == ["p→0 shape", "q→1 order", "r→2 order"]


def test_a_normalization_follows_its_layer() -> None:
    """By the order of equal shapes alone, `n1` would go to the shortcut."""
    found = matched(
        owners("c1:A", "n1:x", "c2:C", "n2:x"), owners("short:C", "m:x", "main:A", "k:x")
    )
    assert found == ["c2→short shape", "n2→m shape", "c1→main shape", "n1→k shape"]


def test_parts_that_stand_in_another_order_are_found_by_what_they_hold() -> None:
    source = owners("t1.a:A", "t1.b:B", "t1.c:B", "t2.a:C", "t2.b:B")
    target = owners("q.a:C", "q.b:B", "p.a:A", "p.b:B", "p.c:B")
    assert matched(source, target) == [
        "t2.a→q.a shape",
        "t2.b→q.b order",
        "t1.a→p.a shape",
        "t1.b→p.b order",
        "t1.c→p.c order",
    ]


B = "(weight 8×8×3×3)"
REFUSED = {
    "orders that differ around equal shapes": (
        owners("a:A", "b:B", "c:B"),
        owners("p:B", "q:A", "r:B"),
        f"ambiguous: b {B}, c {B} of the source could each be more than one of p {B}, r {B} of the "
        "spec, whose orders differ; say which with --map",
    ),
    "parts against order": (
        owners("s.a:A", "s.b:B", "t.a:A"),
        owners("p.a:A", "q.a:B", "q.b:A"),
        "ambiguous: s.a (weight 8×3×3×3), t.a (weight 8×3×3×3) of the source could each be more "
        "than one of p.a (weight 8×3×3×3), q.b (weight 8×3×3×3) of the spec, whose orders differ; "
        "say which with --map",
    ),
    "too much": (
        owners("a:A", "b:B"),
        owners("p:A"),
        f"no place for b {B} of the source",
    ),
    "too little": (
        owners("a:A"),
        owners("p:A", "q:B"),
        f"nothing for q {B} of the spec",
    ),
    "another shape": (
        owners("a:A", "b:B"),
        owners("p:A", "q:D"),
        f"no place for b {B} of the source; nothing for q (weight 8×8×1×1) of the spec",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_certain_is_refused(case: str) -> None:
    source, target, message = REFUSED[case]
    with pytest.raises(ToolError) as refusal:
        match_owners(source, target)
    assert str(refusal.value) == message


def test_a_map_decides() -> None:
    source, target, _ = REFUSED["orders that differ around equal shapes"]
    found = matched(source, target, maps=[("c", "p")])
    assert found == ["c→p map", "a→q shape", "b→r shape"]


def test_a_map_of_nothing_is_refused() -> None:
    with pytest.raises(ToolError) as refusal:
        match_owners(owners("a:A"), owners("p:A"), [("b", "p")])
    assert str(refusal.value) == "the source has no module `b` that is not matched already"


def test_without_an_order_only_single_shapes_match() -> None:
    found = matched(owners("b:B", "a:A"), owners("p:A", "q:B"), is_ordered=False)
    assert found == ["a→p shape", "b→q shape"]
    with pytest.raises(ToolError) as refusal:
        match_owners(owners("a:B", "b:B"), owners("p:B", "q:B"), is_ordered=False)
    assert str(refusal.value) == (
        f"ambiguous: a {B}, b {B} of the source share their shapes with others, and the file keeps "
        "no order; name the source's spec with --from, or say which with --map"
    )


def test_counters_that_some_lack_are_refused() -> None:
    target = target_shapes(archdsl.parse("conv 3x3 4 bn; conv 3x3 8 bn", input="8x8x3"))
    source = {f"net.{key}": shape for key, shape in target.items()}
    del source["net.3.num_batches_tracked"]
    with pytest.raises(ToolError) as refusal:
        plan_port(source, target)
    assert str(refusal.value) == (
        "the source has no net.3.num_batches_tracked, though it has such counters elsewhere"
    )


# ── The command ──────────────────────────────────────────────────────────────────────────────

MINE = "network Mine: 6x6x3 → 5 { a: conv 3x3 4; b: conv 3x3 4 p1 bn; c: conv 3x3 4 p1 bn; fc 5 }\n"
YOURS = "network Yours: 6x6x3 → 5 { body: { conv 3x3 4; conv 3x3 4 p1 bn ×2 }; head: fc 5 }\n"
TABLE = """\
Source                   Target                      Shape    By
a.weight                 body.0.weight               4×3×3×3  shape
a.bias                   body.0.bias                 4        shape
b.0.weight               body.1.weight               4×4×3×3  order
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `archdsl weights port` in a folder with two specs and the weights of one."""
    monkeypatch.chdir(tmp_path)
    Path("mine.arch").write_text(MINE, "utf-8")
    Path("yours.arch").write_text(YOURS, "utf-8")
    torch.manual_seed(0)
    state = build(archdsl.load("mine.arch")).state_dict()
    torch.save({"state_dict": state}, "mine.ckpt")
    save_file(state, "mine.safetensors")
    bare = {key: value for key, value in state.items() if "num_batches" not in key}
    torch.save(bare, "bare.pt")

    def run(*argv: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as leave:
            main(["weights", "port", *argv])
        captured = capsys.readouterr()
        assert isinstance(leave.value.code, int)
        return leave.value.code, captured.out, captured.err

    return run


def test_the_mapping_is_printed_and_the_file_written(call) -> None:
    code, out, err = call("mine.ckpt", "yours.arch", "-o", "yours.safetensors")
    assert code == 0
    assert out.startswith(TABLE)
    assert out.endswith("\nwrote yours.safetensors: 18 tensors\n")
    assert err == (
        "note: 14 tensors matched by order: right if the source registers its modules in the "
        "order in which it runs them\n"
    )
    with safe_open("yours.safetensors", "pt") as file:
        assert file.metadata() == {
            "archdsl.network": "Yours",
            "archdsl.spec": "yours.arch",
            "archdsl.spec_sha256": hashlib.sha256(Path("yours.arch").read_bytes()).hexdigest(),
            "archdsl.version": archdsl.__version__,
        }
    build(archdsl.load("yours.arch")).load_state_dict(load_file("yours.safetensors"), strict=True)


def test_the_file_is_the_same_each_time_and_its_header_sorted(call) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        assert call("mine.ckpt", "yours.arch", "-o", name, "--quiet")[0] == 0
    content = Path("one.safetensors").read_bytes()
    assert content == Path("two.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    assert size % 8 == 0
    keys = list(json.loads(content[8 : 8 + size]))
    assert keys == sorted(keys)


def test_there_and_back_through_files_without_an_order(call) -> None:
    there = call("mine.safetensors", "yours.arch", "--from", "mine.arch", "-o", "y.safetensors")
    assert there[::2] == (0, "")
    back = call("y.safetensors", "mine.arch", "--from", "yours.arch", "-o", "m.safetensors")
    assert back[::2] == (0, "")
    before, after = load_file("mine.safetensors"), load_file("m.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_counters_that_the_source_does_not_keep_are_0(call) -> None:
    code, out, err = call("bare.pt", "yours.arch", "-o", "y.safetensors")
    assert code == 0
    assert "\n0                 body.2.num_batches_tracked  1        order\n" in out
    assert err.endswith("note: 2 counters of batches set to 0: the source keeps none\n")
    assert load_file("y.safetensors")["body.2.num_batches_tracked"] == 0


def test_a_dry_run_and_a_quiet_one(call) -> None:
    code, out, _ = call("mine.ckpt", "yours.arch", "--dry-run")
    assert code == 0
    assert out.startswith(TABLE)
    assert "wrote" not in out
    _, out, _ = call("mine.ckpt", "yours.arch", "-o", "y.safetensors", "--quiet")
    assert out == "wrote y.safetensors: 18 tensors\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([torch.ones(1)], ""),
        ({}, ""),
        ({"state_dict": {}}, ""),
        ({"state_dict": {"a": torch.ones(1), "epoch": 3}}, ": 'epoch' is not a tensor"),
        ({"a": torch.ones(1), 3: torch.ones(1)}, ": 3 is not a tensor"),
    ],
    ids=["a list", "nothing", "an empty state", "a number", "a key that is none"],
)
def test_a_file_without_a_state_dict(call, content: object, why: str) -> None:
    torch.save(content, "odd.pt")
    code, out, err = call("odd.pt", "yours.arch", "--dry-run")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f"error: odd.pt holds no state dict{why}"


WRONG = {
    ("mine.ckpt", "yours.arch"): "name the file to write with -o, or pass --dry-run",
    ("mine.ckpt", "yours.arch", "-o", "bare.pt"): (
        "bare.pt already exists; use --force to overwrite it"
    ),
    ("none.pt", "yours.arch", "--dry-run"): "cannot read none.pt: No such file or directory",
    ("mine.arch", "yours.arch", "--dry-run"): (
        "mine.arch is not a file of weights that can be read safely"
    ),
    ("mine.safetensors", "mine.arch", "--from", "yours.arch", "--dry-run"): (
        "no network of yours.arch has the names and shapes of the source"
    ),
    ("mine.ckpt", "yours.arch", "--drop", "fc", "--dry-run"): (
        "nothing for head (bias 5, weight 5×64) of the spec"
    ),
}


@pytest.mark.parametrize("argv", WRONG, ids=" ".join)
def test_what_cannot_be_done_is_2_and_one_line(call, argv: tuple[str, ...]) -> None:
    code, out, err = call(*argv)
    assert code == 2
    assert out == ""
    assert err.splitlines()[-1] == f"error: {WRONG[argv]}"


def test_a_part_of_the_source_can_be_dropped(call) -> None:
    Path("body.arch").write_text("network Body: 6x6x3 → 4x4x4 { conv 3x3 4 }\n", "utf-8")
    drops = ("--drop", "b", "--drop", "c", "--drop", "fc")
    code, out, _ = call("mine.ckpt", "body.arch", *drops, "--dry-run")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["a.weight", "0.weight"],
        ["a.bias", "0.bias"],
    ]


# ── The order of the source ──────────────────────────────────────────────────────────────────

SHAPES = target_shapes(archdsl.parse(MINE))


def models_of(text: str) -> tuple[archdsl.Model, ...]:
    return read_models(Source(text))


def test_a_source_is_ordered_as_its_spec_runs() -> None:
    shuffled = dict(sorted(SHAPES.items(), reverse=True))
    other = "network Other: 6x6x3 → 5 { a: conv 3x3 4; fc 5 }\n"
    ordered = order_as(shuffled, models_of(other + MINE), "mine.arch")
    assert list(ordered.items()) == list(SHAPES.items())
    assert list(shuffled) != list(SHAPES)


@pytest.mark.parametrize(
    "change",
    [{"a.weight": (4, 3, 3, 4)}, {"more": (1,)}],
    ids=["another shape", "a name more"],
)
def test_a_source_of_another_spec_is_refused(change: dict[str, tuple[int, ...]]) -> None:
    for shapes in (SHAPES | change, dict(list(SHAPES.items())[1:])):
        with pytest.raises(ToolError, match=r"^no network of mine\.arch has the names and shapes"):
            order_as(shapes, models_of(MINE), "mine.arch")


def test_two_orders_of_one_source_are_refused() -> None:
    one = "network A: 6x6x4 → 6x6x4 { a: conv 1x1 4; b: conv 1x1 4 }\n"
    same = one.replace("A:", "C:")
    other = "network B: 6x6x4 → 6x6x4 { b: conv 1x1 4; a: conv 1x1 4 }\n"
    shapes = target_shapes(models_of(one)[0])
    with pytest.raises(ToolError, match=r"^several networks of n\.arch have the source's names"):
        order_as(shapes, models_of(one + other), "n.arch")
    assert order_as(shapes, models_of(one + same), "n.arch") == shapes


def test_the_order_of_the_spec_decides_between_equal_shapes(call) -> None:
    """Names in reverse order of the alphabet: a file sorted by name says the contrary."""
    Path("up.arch").write_text(
        "network Up: 6x6x4 → 6x6x4 { z: conv 1x1 4; a: conv 1x1 4 }", "utf-8"
    )
    Path("to.arch").write_text(
        "network To: 6x6x4 → 6x6x4 { p: conv 1x1 4; q: conv 1x1 4 }", "utf-8"
    )
    state = build(archdsl.load("up.arch")).state_dict()
    save_file(state, "up.safetensors")
    assert call("up.safetensors", "to.arch", "--from", "up.arch", "-o", "to.safetensors")[0] == 0
    found = load_file("to.safetensors")
    for old, new in (("z", "p"), ("a", "q")):
        assert torch.equal(found[f"{new}.weight"], state[f"{old}.weight"])
