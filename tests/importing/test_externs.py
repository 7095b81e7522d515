"""``--extern``: what the language cannot say, as code that the module of the spec imports."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from imports import bare_body_of
from torch import Tensor, nn

import archdsl
from archdsl.cli.commands import commands
from archdsl.importing.errors import NotInTheLanguage, NotTheSame
from archdsl.importing.from_torch import externs
from archdsl.importing.importer import Imported
from archdsl.importing.sources import find_source
from archdsl.layers.volume import Volume
from archdsl.torch_tools.prove import prove

PARTS = '''
import functools
import torch
from torch import nn


class Roll(nn.Module):
    def __init__(self, by, *, axis=2):
        super().__init__()
        self.by, self.axis = by, axis

    def forward(self, x):
        return torch.roll(x, self.by, self.axis)


class Mixer(nn.Module):
    """It keeps none of its arguments."""

    def __init__(self, channels, scale=2.0, sizes=(1, 1), name=None):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, channels, sizes), nn.BatchNorm2d(channels)
        self.factor = scale

    def forward(self, x):
        return self.bn(torch.fft.fft2(self.conv(x)).real) * self.factor


class Many(nn.Module):
    def __init__(self, *sizes, **words):
        super().__init__()
        self.sizes, self.axis = sizes, words["axis"]

    def forward(self, x):
        return torch.roll(x, sum(self.sizes), self.axis)


class Acting(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        return torch.roll(self.act(x), 1)


class Pair(nn.Module):
    def forward(self, x, y):
        return torch.roll(x, 1) + y


class Holder(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.pair = nn.Conv2d(channels, channels, 1), Pair()

    def forward(self, x):
        return self.pair(self.conv(x), x)


class Drawn(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("factor", torch.randn(channels, 1, 1), persistent=False)

    def forward(self, x):
        return torch.roll(x, 1) * self.factor


class Two(nn.Module):
    def forward(self, x):
        return torch.roll(x, 1), x


class Deciding(nn.Module):
    def forward(self, x):
        return torch.roll(x, 1) if x.sum() > 0 else x


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = _net(Mixer(4))

    def forward(self, left, right):
        return self.tower(left) - self.tower(right)


def _wrapped(function):
    @functools.wraps(function)
    def run(self, *args, **named):
        return function(self, *args, **named)

    return run


class Wrapped(Roll):
    @_wrapped
    def __init__(self, by):
        super().__init__(by)


def _net(*parts):
    return nn.Sequential(nn.Conv2d(3, 4, 3), *parts, nn.ReLU())


def roll(): return _net(Roll(1), Roll(1, axis=3), Roll(by=2, axis=2))
def mixers(): return _net(Mixer(4), nn.Dropout(0.2), Mixer(4, 0.5, sizes=(3, 3)))
def many(): return _net(Many(1, 2, axis=3))
def unfold(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Unfold(3, padding=1), nn.Conv1d(36, 4, 1))
def holder(): return _net(Holder(4))
def drawn_numbers(): return _net(nn.RReLU(), nn.AlphaDropout(0.1))
def acting(): return _net(Acting(nn.ReLU()))
def listed(): return _net(Roll([1], axis=[2]))
def drawn(): return _net(Drawn(4))
def two(): return _net(Two())
def deciding(): return _net(Deciding())
def wrapped(): return _net(Wrapped(1))


def shared():
    part = Mixer(4)
    return _net(part, nn.ReLU(), part)


def changed():
    part = Roll(1)
    part.by = 2
    return _net(part)


def hooked():
    part = Roll(1)
    part.register_forward_hook(lambda *_: None)
    return _net(part)


def local():
    class Local(Roll):
        pass

    return _net(Local(1))


class Complex(nn.Module):
    def forward(self, x):
        return torch.fft.fft2(x)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.roll(x, self.calls)


class Named(Roll):
    def __init__(self, by, name):
        super().__init__(by)


class Averaging(nn.Module):
    """It writes to its buffer."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.mean.mul_(0.9).add_(0.1 * x.mean((0, 2, 3)).view(-1, 1, 1))
        return torch.roll(x, 1) - self.mean


class Halving(nn.Module):
    """It writes to its parameter, in evaluation as well."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x):
        with torch.no_grad():
            self.weight.mul_(0.5)
        return torch.roll(x * self.weight, 1)


def root(): return Roll(1)
def double(): return _net(Mixer(4)).double()
def complex_numbers(): return _net(Complex())
def counting(): return _net(Counting())
def quoted(): return _net(Named(1, 'a "word"'))
def infinite(): return _net(Named(float("inf"), "a"))
def halving(): return _net(Halving(4))
def averaging(): return _net(Averaging(4))


def frozen():
    net = _net(Mixer(4))
    net.requires_grad_(False)
    return net
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the user's own."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "parts.py").write_text(PARTS, "utf-8")
    (tmp_path / "alone.py").write_text(PARTS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("own", "own.parts", "alone"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def made_of(name: str) -> Imported:
    torch.manual_seed(0)
    return find_source(f"own.parts:{name}", input=Volume((12, 12, 3)), extern=True).make()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "roll",
            [
                "conv 3x3 4",
                'extern "own.parts:Roll(1)" 10x10x4 params=0 macs=0',
                'extern "own.parts:Roll(1, axis=3)" 10x10x4 params=0 macs=0',
                'extern "own.parts:Roll(2)" 10x10x4 params=0 macs=0; relu',
            ],
        ),
        (
            "mixers",
            [
                'extern "own.parts:Mixer(4)" 10x10x4 params=28 macs=1600',
                'extern "own.parts:Mixer(4, 0.5, (3, 3))" 8x8x4 params=156 macs=9216',
            ],
        ),
        ("many", ['extern "own.parts:Many(1, 2, axis=3)" 10x10x4 params=0 macs=0']),
        ("unfold", ['extern "torch.nn:Unfold(3, padding=1)" 100x36 params=0 macs=0']),
        # The innermost module that has one input.
        ("holder", ['extern "own.parts:Holder(4)" 10x10x4 params=20 macs=1600']),
        ("drawn_numbers", ['extern "torch.nn:AlphaDropout(0.1)" 10x10x4']),
        ("double", ['extern "own.parts:Mixer(4)" 10x10x4 params=28 macs=1600']),
        ("averaging", ['extern "own.parts:Averaging(4)" 10x10x4 params=0 macs=0']),
        ("shared", ['shared_1: extern "own.parts:Mixer(4)" 10x10x4', "reuse shared_1"]),
    ],
)
def test_what_the_language_cannot_say(name: str, lines: list[str]) -> None:
    """The import compares it, and `check --prove` finds what is said of it right."""
    made = made_of(name)
    body = "\n".join(bare_body_of(made))
    for line in lines:
        assert line in body
    assert made.is_exact
    assert "# What is `extern` is code of others, which the spec's module imports" in made.text
    source, deployed = (archdsl.compile(made.model, inference=flag) for flag in (False, True))
    (proof,) = prove([made.model], source, deployed).values()
    assert not proof.diagnostics
    with pytest.raises(NotInTheLanguage):
        find_source(f"own.parts:{name}", input=Volume((12, 12, 3))).make()


def test_a_tower_of_two_inputs() -> None:
    found = find_source(
        "own.parts:Tower",
        input={"left": Volume((12, 12, 3)), "right": Volume((12, 12, 3))},
        extern=True,
    )
    made = found.make()
    assert made.text.count("extern ") == 1
    assert "reuse tower" in made.text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acting", "1 cannot be an `extern`: its argument `act` is `ReLU()`: those of an `extern`"),
        ("listed", "its argument `by` is `[1]`"),
        ("changed", "`own.parts:Roll(1)` makes another one: `by` is not the same"),
        ("drawn", "`own.parts:Drawn(4)` makes another one: `factor` is not the same"),
        ("hooked", "makes another one: `_forward_hooks` is not the same"),
        ("wrapped", "what its constructor was given is not known, as that is wrapped"),
        ("local", "its class `local.<locals>.Local` is made in a function"),
        ("two", "1: it gives no volume"),
        ("complex_numbers", "1: it gives no volume"),
        ("halving", "1.weight: it is written to while the network runs"),
        ("counting", "1: it changes its `calls`"),
        ("quoted", "has a sign that a spec cannot have in quotes"),
        ("infinite", "`own.parts:Named(inf, 'a')` cannot be said in a spec"),
        ("frozen", "makes another one: `conv.weight` is not the same"),
        ("deciding", "1: it gives no volume, or none that is known without numbers"),
        ("root", "forward: `torch.roll` is not in the language"),
    ],
)
def test_what_is_refused(name: str, reason: str) -> None:
    with pytest.raises(NotInTheLanguage) as caught:
        made_of(name)
    assert reason in str(caught.value)


def test_another_module_than_the_original_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments that are not those of the original, though nothing that it keeps differs."""
    target = externs.target_of
    monkeypatch.setattr(
        "archdsl.importing.from_torch.tracing.target_of",
        lambda module, made: target(module, made).replace("Roll(1)", "Roll(3)"),
    )
    with pytest.raises(NotTheSame):
        made_of("roll")


def test_a_module_that_is_there_already() -> None:
    """Its arguments are its attributes of the same names; what it does not keep is not known."""

    class Net(nn.Module):
        def __init__(self, part: nn.Module) -> None:
            super().__init__()
            self.conv, self.part = nn.Conv2d(3, 4, 3), part

        def forward(self, x: Tensor) -> Tensor:
            return self.part(self.conv(x))  # type: ignore[no-any-return]

    from own import parts  # type: ignore[import-not-found]

    model = archdsl.from_torch(Net(parts.Roll(1, axis=3)), input="12x12x3", extern=True)
    assert 'extern "own.parts:Roll(1, axis=3)"' in model.source.text
    model = archdsl.from_torch(Net(nn.CELU(0.5)), input="12x12x3", extern=True)
    assert 'extern "torch.nn:CELU(0.5)"' in model.source.text
    with pytest.raises(NotInTheLanguage, match="its argument `channels` is not known: it does not"):
        archdsl.from_torch(Net(parts.Mixer(4)), input="12x12x3", extern=True)
    with pytest.raises(NotInTheLanguage, match=r"part: `nn\.CELU` is not in the language"):
        archdsl.from_torch(Net(nn.CELU(0.5)), input="12x12x3")


# ── The command line ─────────────────────────────────────────────────────────────────────────


def run(*words: str) -> Result:
    return CliRunner().invoke(commands, [*words])


def test_the_command_line(folder: Path) -> None:
    words = ("import", "alone.py:mixers", "--input", "12x12x3")
    refused = run(*words, "-o", "net.arch")
    assert refused.exit_code == 2
    assert "is not in the language" in refused.stderr
    done = run(*words, "--extern", "-o", "net.arch", "--weights", "net.safetensors")
    assert done.exit_code == 0, done.output
    assert 'extern "alone:Mixer(4)"' in (folder / "net.arch").read_text("utf-8")
    assert run("check", "net.arch", "--prove").exit_code == 0


def test_a_class_that_no_spec_can_import(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in (str(folder), "")])
    done = run("import", "alone.py:mixers", "--input", "12x12x3", "--extern", "-o", "net.arch")
    assert done.exit_code == 2
    assert (
        "its class `Mixer` is in `alone`, which the module of a spec cannot import" in done.stderr
    )
    assert len(re.findall("^error: ", done.stderr, re.MULTILINE | re.IGNORECASE)) == 1
    assert not (folder / "net.arch").exists()


def test_a_file_has_no_modules() -> None:
    done = run("import", "net.onnx", "--extern")
    assert done.exit_code == 2
    assert "net.onnx has no modules of Python, which `--extern` is for" in done.stderr
