"""The generated code: what it computes, how it is built, and how it reads."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, sample
from oracle import build, judge, network_class, run_source
from structures import STRUCTURES
from torch import nn

import archdsl
from archdsl.classplan import RESERVED_ATTRIBUTES
from archdsl.frontend import read_models
from archdsl.text.source import Source

#: That they compute what their specs say, `archdsl check --prove specs` proves.
SPECS = sorted((ROOT / "specs").rglob("*.arch"))
BARE = "conv 3x3 s1 same ×2; maxpool 2 s2; inception(64,96→128,16→32,32)"


def test_bare_statements_compile_and_run() -> None:
    model = archdsl.parse(BARE, input="28x28x192")
    judge(model)


# ── Structure ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", STRUCTURES.values(), ids=STRUCTURES)
def test_structure(text: str) -> None:
    """Each structure has the graph's volumes, and a forward pass that is the graph."""
    model = archdsl.parse(text, input="8x8x4")
    judge(model)
    _assert_formatted({"structure": archdsl.compile(model)})


def test_block_in_place_of_its_parameters() -> None:
    """Numbers that differ between uses come through the constructor, by the block's names."""
    source = archdsl.compile(
        archdsl.parse(
            """
            block cell(n, k=3) { conv k n same relu; conv 1x1 (4*n); bn }
            network N: 8x8x4 → 8x8x96 { a: cell(8); b: cell(16, 5); c: cell(24) }
            """
        )
    )
    assert "def __init__(self, in_channels: int, n: int, k: int = 3) -> None:" in source
    assert "nn.Conv2d(in_channels, n, k, padding=(k - 1) // 2)" in source
    assert "nn.Conv2d(n, 4 * n, 1)" in source
    assert "nn.BatchNorm2d(4 * n)" in source
    assert "Cell(4, 8)" in source
    assert "Cell(32, 16, k=5)" in source


def test_block_with_a_choice_is_one_class() -> None:
    """A shortcut that only some uses project: the spec's condition, in the class's names."""
    model = archdsl.parse("basic(4); basic(8, 2); basic(8); basic(8, 2)", input="8x8x4")
    source = archdsl.compile(model)
    assert source.count("class Basic") == 1
    assert "self.downsample: nn.Module = nn.Identity()" in source
    assert "        if s != 1 or in_channels != n:\n" in source
    assert "nn.Conv2d(in_channels, n, 1, stride=s, bias=False)" in source
    calls = ["Basic(4, 4)", "Basic(4, 8, s=2)", "Basic(8, 8)", "Basic(8, 8, s=2)"]
    assert re.findall(r"Basic\(\d.*?\)", source) == calls
    judge(model)


@pytest.mark.parametrize(
    ("block", "condition"),
    [
        ("if k > 1 { conv 1x1 n } else { id }", "if k > 1:"),
        ("if k == 1 { id } else { conv 1x1 n }", "if k != 1:"),
        (
            "if not (C == n and k < 2) { conv 1x1 n } else { id }",
            "if not (in_channels == n and k < 2):",
        ),
        ("if k > 1 { conv 1x1 n relu } else { id }", "if k > 1:"),
    ],
)
def test_conditions_are_the_spec_s(block: str, condition: str) -> None:
    text = f"block cell(n, k) {{ add {{ | conv 3x3 n same | {block} }} }}\ncell(4, 1); cell(4, 2)"
    model = archdsl.parse(text, input="8x8x4")
    source = archdsl.compile(model)
    assert source.count("class Cell") == 1
    assert condition in source
    judge(model)


@pytest.mark.parametrize(
    ("written", "emitted"),
    [
        ("max(n, 4)", "max(n, 4)"),
        ("min(n, C + 3, 2 * C)", "min(n, in_channels + 3, 2 * in_channels)"),
        ("n // 2", "n // 2"),
        ("(n + 2) / 2", "(n + 2) // 2"),
        ("n % 4 + 1", "n % 4 + 1"),
        ("-n + 20", "-n + 20"),
        ("3 * (n + C // 2)", "3 * (n + in_channels // 2)"),
        ("n + 20 - (C - 3)", "n + 20 - (in_channels - 3)"),
    ],
)
def test_expressions_are_the_spec_s(written: str, emitted: str) -> None:
    text = f"block cell(n) {{ conv 1x1 ({written}) relu }}\ncell(4); cell(10); cell(6)"
    model = archdsl.parse(text, input="8x8x4")
    source = archdsl.compile(model)
    assert source.count("class Cell") == 1
    assert f"nn.Conv2d(in_channels, {emitted}, 1)" in source
    judge(model)


@pytest.mark.parametrize(
    ("written", "emitted"),
    [
        ("n == 1 or m == 1 and H > 3", "n == 1 or m == 1"),
        ("n == 1 or m == 1 and not (H > 3 or m == 5)", "n == 1 or m == 1"),
        ("n == 1 or m == 3 and (m == 2 or W == H)", "n == 1 or m == 3 and m == 2"),
        ("not (n == 2 or m == 2 and min(H, 3) > 2)", "not (n == 2 or m == 2)"),
        ("n == 1 or (m == 1 and -H < 3) == true", "n == 1 or (m == 1) == True"),
        ("n == 1 and (m == 1 or H % 2 == 0)", "n == 1 and m == 1"),
    ],
)
def test_what_no_use_asks_and_has_no_value_is_left_out(written: str, emitted: str) -> None:
    """A vector has no height."""
    text = f"block cell(n, m) {{ if {written} {{ tanh }} else {{ relu }} }}\ncell(1, 1); cell(2, 2)"
    model = archdsl.parse(text, input="4")
    source = archdsl.compile(model)
    assert source.count("class Cell") == 1
    assert f"[nn.Tanh()] if {emitted} else" in source
    judge(model)


@pytest.mark.parametrize(
    ("written", "emitted"),
    [
        ("8 / m == 2", "8 // m == 2"),
        ("min(8 / m, 3) == 2", "min(8 // m, 3) == 2"),
        ("max(8 // m) == 2", "8 // m == 2"),
        ("1.5 / m > 0.7", "1.5 / m > 0.7"),
        ("max(8 // m, 0.5) / m > 0.7", "max(8 // m, 0.5) / m > 0.7"),
    ],
)
def test_what_no_use_asks_is_right_for_other_arguments(written: str, emitted: str) -> None:
    """Nothing is divided by 0."""
    test = f"n == 1 and (m == 0 or {written})"
    text = f"block cell(n, m) {{ if {test} {{ tanh }} else {{ relu }} }}\ncell(1, 0); cell(2, 0)"
    model = archdsl.parse(text, input="4")
    source = archdsl.compile(model)
    assert f"[nn.Tanh()] if n == 1 and (m == 0 or {emitted}) else" in source
    judge(model)


def test_sizes_that_decide_are_arguments() -> None:
    text = """
    block cell(n, k) { add { | conv 3x3 n same | if H > 8 { conv 1x1 n } else { id } } }
    block outer(n) { a: cell(n, 2); relu }
    outer(4); maxpool 2; outer(4)
    """
    model = archdsl.parse(text, input="16x16x4")
    source = archdsl.compile(model)
    assert [source.count(f"class {name}") for name in ("Cell", "Outer")] == [1, 1]
    assert "        if height > 8:\n" in source
    assert "self.a = Cell(in_channels, height, n)" in source
    judge(model)


def test_what_is_wired_otherwise_is_an_if_of_forward() -> None:
    text = """
    block unit(n, s, residual, deep=false) {
      conv 1 n
      if s == 2 {
        part: conv 3 n s2 same; relu
        concat { part | conv 1 n | id }
      } else if residual {
        if deep { add { conv 3 n same relu conv 3 n same | id } } else {
          add { conv 3 n same | id }
        }
      }
      relu
    }
    unit(8, 2, false); unit(8, 1, true); unit(4, 1, true, true); unit(9, 2, true); unit(5, 1, false)
    """
    model = archdsl.parse(text, input="16x16x4")
    source = archdsl.compile(model)
    assert source.count("class Unit") == 1
    assert '    __constants__ = ["condition", "residual"]\n' in source
    assert (
        """\
        x = self.conv(x)
        if self.condition:
            part: Tensor = self.part(x)
            x = self.relu2(part)
            x = torch.cat((part, self.branch2(x), x), 1)
        elif self.residual:
            x = self.branch1(x) + x
        x = self.relu(x)
        return x
"""
        in source
    )
    judge(model)


@pytest.mark.parametrize(
    "text",
    [
        # What flows in is read behind the `if` and in one way alone.
        "block b(a) { p: relu; if a { add { conv 1 C | id } } else { concat { tanh | take(0) } }\n"
        " concat { id | p } }\nb(true); b(false)",
        # One way has nothing, and ends with what is referred to later.
        "block b(a) { p: relu; if a { add { conv 3 C same | p } }; conv 1 4\n"
        " concat { id | p } }\nb(true); b(false)",
        "block b(a) { p: relu; if not a { q: { add { conv 3 C same | p } } } else { p }\n"
        " add { id | conv 1 C } }\nb(true); b(false)",
        # The ways of a branch; and an `if` in each of two.
        "block b(a, c) { concat { if a { add { conv 1 C | tanh } } else { mul { id | gap } }\n"
        " | if c { add { relu | id } }; conv 1 3 } }\nb(true, false); b(false, true)",
        # Ways without a layer.
        "block b(a) { if a { concat { id | id } } else { add { id | id } } }\nb(true); b(false)",
        # Three ways, of which one goes through a loop over parts that read others.
        "block b(n) { p: conv 1 4; if n == 1 { t: { add { conv 1 4 | p } } ×3 } else if n == 2 {\n"
        " concat { p | id } } else { add { p | tanh } }; conv 1 4 }\nb(1); b(2); b(3); b(1)",
        # Names of Python, of modules and of the condition.
        "block b(training) { condition: relu\n if training { add { id | conv 1 C } } }"
        "\nb(true); b(false)",
        "block b(n) { condition: relu; if n > 1 { add { id | conv 1 C } } }\nb(1); b(2)",
    ],
)
def test_ways_of_one_class(text: str) -> None:
    model = archdsl.parse(text, input="8x8x4")
    assert archdsl.compile(model).count("class B(") == 1
    assert "class B2(" not in archdsl.compile(model)
    judge(model)


def test_heads_of_some_uses_have_a_class_each() -> None:
    """What a module gives cannot depend on its arguments."""
    text = """
    network net(a=1): 8x8x4 → 3 {
      if a > 1 { aux(0.3) { fc 3 } }
      fc 3
    }
    network one = net()
    network two = net(2)
    """
    models = read_models(Source(text, "heads.arch"))
    source = archdsl.compile(*models)
    assert source.count("class Net") == 2
    assert 'raise ValueError("net: no use in the spec has a <= 1")' in source
    for model in models:
        judge(model)


def test_a_block_may_be_called_as_the_inside_of_a_compiler() -> None:
    text = """
    block fork(n, k) { add { | conv k n same | if k > 1 { conv 1x1 n } else { id } } }
    block instance(n, k) { a: fork(n, k) }
    fork(4, 1); fork(4, 3); instance(4, 1); instance(4, 3)
    """
    model = archdsl.parse(text, input="8x8x4")
    judge(model)


def test_a_block_united_late_comes_before_what_is_built_of_it() -> None:
    text = """
    block cell(n) { add { | conv 3x3 n same | if C != n { conv 1x1 n } else { id } } }
    block outer(n) { x: cell(n) }
    outer(4); cell(8); outer(8)
    """
    model = archdsl.parse(text, input="8x8x4")
    source = archdsl.compile(model)
    assert source.index("class Cell") < source.index("class Outer")
    assert "self.x = Cell(in_channels, n)" in source
    judge(model)


@pytest.mark.parametrize("text", ["a: cell(8)", "a: cell(8); b: cell(8)"])
def test_a_block_keeps_its_parameters(text: str) -> None:
    block = "block cell(n, g) { conv 3x3 (n + g) same; bn }\n"
    source = archdsl.compile(archdsl.parse(block + text.replace("8", "8, 2"), input="8x8x8"))
    assert source.count("class Cell") == 1
    assert "def __init__(self, in_channels: int, n: int, g: int) -> None" in source
    assert "nn.Conv2d(in_channels, n + g, 3, padding=1)," in source
    assert "nn.BatchNorm2d(n + g)" in source
    assert "self.a = Cell(8, 8, 2)" in source


def test_concat_of_parameters_is_their_sum() -> None:
    source = archdsl.compile(
        archdsl.parse(
            """
            block both(a, b) { concat { conv 1x1 a | conv 1x1 b }; conv 3x3 same }
            network N: 8x8x4 → 8x8x9 { p: both(2, 5); q: both(3, 6) }
            """
        )
    )
    assert "nn.Conv2d(a + b, a + b, 3, padding=1)" in source


def test_a_size_is_an_argument_as_a_whole() -> None:
    """PyTorch takes one number for a size, too: calls with either share a class."""
    (model,) = read_models(
        Source(
            "block b(k, p) { conv k 8 padding=p; relu }\n"
            "network N: 9x9x3 → 9x9x8 { b(3, 1); b(1x7, 0x3); b(7x1, 3x0) }",
            "sizes.arch",
        )
    )
    source = archdsl.compile(model)
    assert source.count("class B") == 1
    assert "k: int | tuple[int, int], p: int | tuple[int, int]" in source
    assert "nn.Conv2d(in_channels, 8, k, padding=p)" in source
    judge(model)


def test_branches_run_in_the_order_of_the_spec() -> None:
    """In which autograd adds up the gradients of what they read, and so to the same bits."""
    (model,) = read_models(
        Source(
            "network N: 8x8x3 → 8x8x12 { concat { a: conv 1x1 4"
            " | b: conv 1x1 4; c: conv 3x3 4 same | d: conv 1x1 4 } }",
            "order.arch",
        )
    )
    source = archdsl.compile(model)
    calls = re.findall(r"self\.(\w)\(", source)
    assert calls == ["a", "b", "c", "d"]


def test_what_an_if_makes_of_channels_is_seen_to_be_the_same() -> None:
    """A shortcut is projected where the channels differ: both ways lead to ``n`` of them."""
    text = """
        block residual(n, s=1) {
          add { if s != 1 or C != n { conv 1x1 n stride=s } else { id } | conv 3x3 n stride=s p1 }
        }
        block stage(n, count) { residual(n, 2); residual(n) ×(count - 1) }
        network N: 32x32x4 → 4x4x32 { stage(8, 3); stage(8, 5); stage(32, 2) }
    """
    source = archdsl.compile(archdsl.parse(text))
    assert source.count("class Stage") == source.count("class Residual") == 1
    assert "(Residual(n, n) for _ in range(count - 1))" in source
    judge(archdsl.parse(text))


def test_networks_of_one_file_share_their_blocks() -> None:
    models = archdsl.load_all(ROOT / "specs" / "inception_reduced.arch")
    source = archdsl.compile(*models)
    assert source.count("class Inception(") == 1
    module = run_source(source)
    for model in models:
        module.__dict__[model.name]()


def test_many_networks_keep_to_the_width() -> None:
    text = "\n".join(f"network SomewhatLongName{i}: 4x4x1 → 2 {{ fc 2 }}" for i in range(12))
    source = archdsl.compile(*read_models(Source(text)))
    assert max(map(len, source.splitlines())) <= 100
    _assert_formatted({"many": source})
    assert len(run_source(source).__all__) == 12


def test_large_figures_keep_to_the_width() -> None:
    text = "network N: 5720x5720x1 → 5716x5716x64 { a: conv 3x3 2048; b: conv 3x3 64 }"
    source = archdsl.compile(archdsl.parse(text))
    assert max(map(len, source.splitlines())) <= 100
    assert "multiply–accumulates.\n" in source


def test_long_repeats_are_loops() -> None:
    source = archdsl.compile(archdsl.parse("conv 3x3 4 same relu ×1000", input="8x8x4"))
    assert "for _ in range(1000)" in source
    assert len(source.splitlines()) < 30


def test_auxiliary_heads_are_an_output_in_training_only() -> None:
    model = archdsl.parse(STRUCTURES["auxiliary heads"], input="8x8x4")
    network = build(model)
    x = torch.randn(2, 4, 8, 8)
    output = network.train()(x)
    assert type(output) is tuple
    assert [tuple(head.shape) for head in output] == [(2, 3)] * 3
    assert network_class(model).aux_weights == (0.3, 1)
    assert isinstance(network.eval()(x), torch.Tensor)


def test_state_dict_keys_follow_the_spec() -> None:
    model = archdsl.load(ROOT / "specs" / "vgg16.arch")
    keys = list(build(model, "meta").state_dict())
    assert keys[:4] == [
        "features.0.weight",
        "features.0.bias",
        "features.2.weight",
        "features.2.bias",
    ]
    assert keys[-6::2] == ["classifier.0.weight", "classifier.3.weight", "classifier.6.weight"]


# ── Text ─────────────────────────────────────────────────────────────────────────────────────


def _assert_formatted(sources: dict[str, str]) -> None:
    for name, source in sources.items():
        command = [
            sys.executable,
            "-m",
            "ruff",
            "format",
            "--diff",
            "--config",
            ROOT / "pyproject.toml",
        ]
        done = subprocess.run(
            [*command, "--stdin-filename", f"{name}.py", "-"],
            input=source,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_committed_modules_are_formatted_and_typed() -> None:
    generated = ROOT / "generated"
    for command in (
        ["ruff", "format", "--check"],
        ["ruff", "check"],
        ["mypy", "--strict", "--explicit-package-bases"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command, *sorted(generated.rglob("*.py"))],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "limit"), [("vgg16", 70), ("googlenet", 110)])
def test_modules_are_short(name: str, limit: int) -> None:
    source = archdsl.compile(archdsl.load(ROOT / "specs" / f"{name}.arch"))
    assert len(source.splitlines()) <= limit


def test_modules_import_torch_alone() -> None:
    for path in SPECS:
        source = archdsl.compile(*sample(path))
        imports = [line for line in source.splitlines() if line.startswith(("import", "from"))]
        assert set(imports) <= {
            "from collections import OrderedDict",
            "import torch",
            "from torch import Tensor, nn",
            "from torch import nn",
            "from typing import NamedTuple",
        }


def test_names_cannot_smuggle_code() -> None:
    text = '# """ ; import os; os.abort() \\\n# \x1b[31m {{ 7 * 7 }} {% raw %} """\nconv 1x1 3'
    source = archdsl.compile(archdsl.parse(text, input="8x8x4", path='x"""; boom.arch'))
    assert source.count('"""') == 4
    assert "\x1b" not in source
    assert "{{ 7 * 7 }}" in source
    run_source(source)


def test_reserved_attributes_are_torchs() -> None:
    """Every public name of a module is escaped, so that no part can replace one."""
    public = {name for name in dir(nn.Sequential()) if not name.startswith("_")}
    assert public <= RESERVED_ATTRIBUTES


def test_comments_of_an_if_stand_above_it() -> None:
    text = """
    network N: 16x16x4 → 5 {
      unit(4, 2); unit(8, 1)
      # there is one way to go
      if C > 1 { relu }
      fc 5
    }
    block unit(n, s) {
      # where it strides
      if s == 2 {
        # smaller
        conv 1 n s2
      }
      add {
        | conv 3 n same
          # where it is wide
          if n > 4 { relu }
        | id
      }
      # the wiring
      if s == 2 { concat { id | tanh } }
    }
    """
    (model,) = read_models(Source(text, "comments.arch"))
    source = archdsl.compile(model)
    for lines in (
        "# where it strides\n        self.conv: nn.Module",
        "# smaller\n            self.conv = ",
        "# where it is wide\n            *([nn.ReLU()] if n > 4 else [])",
        "# the wiring\n        self.condition = s == 2\n        if self.condition:\n",
        "# there is one way to go\n            nn.ReLU()",
    ):
        assert lines in source, source
