"""``archdsl import``: files, flags, faults."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import ROOT
from oracle import build
from safetensors.torch import load_file

import archdsl
from archdsl.cli.commands import commands

NET = """
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8 * width, 3, padding=1)
        self.gate = nn.Conv2d(8 * width, 8 * width, 1)
        self.fc = nn.Linear(8 * width * 16 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        x = x * torch.sigmoid(self.gate(x))
        x = F.max_pool2d(x, 2)
        return self.fc(x.flatten(1))


class Roll(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, 1)


class Twins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 8))
        self.fc = nn.Linear(8, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.fc(torch.abs(self.tower(left) - self.tower(right)))


def fails() -> nn.Module:
    raise RuntimeError("no weights here")


def number() -> int:
    return 3
"""


CFG = """[net]
width=32
height=32
channels=3
[convolutional]
filters=8
size=3
stride=1
pad=1
batch_normalize=1
activation=leaky
[avgpool]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(NET, "utf-8")
    (tmp_path / "net.cfg").write_text(CFG, "utf-8")
    (tmp_path / "wrong.cfg").write_text(CFG.replace("filters=8", "filters=x"), "utf-8")
    (tmp_path / "net.prototxt").write_text("name: 'n'\ninput: 'x'\nlayer {", "utf-8")
    (tmp_path / "broken.onnx").write_bytes(b"\x80\x04pickle")
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(commands, ["import", *words])


def test_the_text_is_printed_and_what_runs_is_said() -> None:
    done = run("mynet.py:Net(width=2)", "--input", "32x32x3")
    assert done.exit_code == 0, done.output
    text = done.stdout
    assert archdsl.format(text) == text
    assert archdsl.parse(text).name == "Net"
    assert "note: mynet.py is executed\n" in done.stderr
    assert "the same bits as mynet.py:Net(width=2)" in done.stderr
    assert text.startswith("# Imported from mynet.py:Net(width=2) by archdsl ")


def test_the_example_of_the_page_is_what_it_prints() -> None:
    done = run("mynet.py:Net(width=2)", "--input", "32x32x3")
    page = (ROOT / "docs" / "import.md").read_text("utf-8")
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert "\n".join(lines).strip() in page
    source = re.search(r"^class Net.*?\n```", page, re.DOTALL | re.MULTILINE)
    assert source is not None
    assert source[0].removesuffix("\n```") in NET


def test_files_are_written_and_kept(folder: Path) -> None:
    words = ["mynet.py:Net", "--args", "width=2", "--input", "32x32x3"]
    done = run(*words, "-o", "out/", "--weights", "net.safetensors", "--name", "Mine")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    model = archdsl.load(folder / "out" / "Mine.arch")
    build(model).load_state_dict(load_file("net.safetensors"), strict=True)
    again = run(*words, "-o", "out/Mine.arch")
    assert (again.exit_code, "already exists" in again.stderr) == (2, True)
    assert run(*words, "-o", "out/Mine.arch", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mynet.py:Net"], "pass the volume of its input, such as `--input 32x32x3`"),
        (["mynet.py:Twins", "--input", "8x8x1"], '`--input "left: 8x8x1, right: 8x8x1"`'),
        (["mynet.py:Twins", "--input", "left: 8x8x1"], "needs the volume of `right` as well"),
        (["mynet.py:Twins", "--input", "left: 8x8, right"], "`--input`: 'left: 8x8, right' is not"),
        (["net.cfg", "--input", "x: 8x8x3"], "the file's input is 32x32x3"),
        (["mynet.py:Net", "--input", "32"], "cannot be imported"),
        (["mynet.py:Net", "--input", "large"], "`--input`: 'large' is not a volume"),
        (["mynet.py:Roll", "--input", "8x8x3"], "forward: `torch.roll` is not in the language"),
        (["mynet.py:fails", "--input", "8x8x3"], "RuntimeError: no weights here"),
        (["mynet.py:number", "--input", "8x8x3"], "makes an object of type int, not an nn.Module"),
        (["mynet.py:Nix", "--input", "8x8x3"], "mynet.py has no `Nix` that could be called"),
        (["nix.py:Net", "--input", "8x8x3"], "there is no file nix.py"),
        (["no.such:Net", "--input", "8x8x3"], "no.such cannot be imported: ModuleNotFoundError"),
        (["mynet.py:Net(w=2)", "--input", "8x8x3"], "unexpected keyword argument 'w'"),
        (["mynet.py:Net(2)", "--input", "8x8x3"], "arguments are given by name"),
        (["mynet.py:Net(width=x)", "--input", "8x8x3"], "arguments are literals"),
        (["mynet.py:Net(", "--input", "8x8x3"], "names no module"),
        (["weights.pth"], "is a pickle: reading it could run anything"),
        (["net.onnx"], "cannot read net.onnx: No such file or directory"),
        (["broken.onnx"], "Broken is not a valid ONNX model"),
        (["net.cfg", "--args", "n=1"], "net.cfg is no constructor, and takes no arguments"),
        (["net.cfg", "--input", "8x8x3"], "Net: the file's input is 32x32x3, not 8x8x3"),
        (["net.cfg"], "`--weights`: net.cfg has no weights"),
        (["net.cfg", "broken.onnx"], "Net: "),
        (["wrong.cfg"], "Wrong: line 6: `filters` is a whole number, not `x`"),
        (["net.prototxt"], "line 3"),
        (["net.caffemodel"], "is the weights of a `.prototxt`: give this first"),
        (["net.h5"], "is of Keras: export ONNX from there"),
        (["mynet.py:Net", "net.weights", "--input", "8x8x3"], "has weights in a second file"),
        (["mynet"], "names no module: write for example"),
    ],
)
def test_one_error_each_and_nothing_is_written(words: list[str], said: str, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")
    done = run(*words, "-o", "out.arch", "--weights", "out.safetensors")
    assert done.exit_code == 2, done.output
    assert len(re.findall("^error: ", done.stderr, re.MULTILINE | re.IGNORECASE)) == 1
    assert said in done.stderr
    after = sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")
    assert after == before


def test_a_model_of_a_module_at_hand() -> None:
    from torch import nn

    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    model = archdsl.from_torch(module, input="8x8x3", name="Small")
    assert (model.name, str(model.output)) == ("Small", "6x6x4")
    assert "network Small: 8x8x3 → 6x6x4 {" in model.source.text


def test_a_model_of_a_file_at_hand() -> None:
    model = archdsl.from_file("net.cfg", name="Small")
    assert (model.name, str(model.output)) == ("Small", "1x1x8")
    with pytest.raises(Exception, match=r"mynet\.py is no file of ONNX, Caffe or Darknet"):
        archdsl.from_file("mynet.py")


def test_a_file_and_its_weights(folder: Path) -> None:
    numbers = np.random.default_rng(0).random(8 * 4 + 8 * 27, np.float32)
    header = np.array([0, 2, 0], np.int32).tobytes() + np.array([0], np.int64).tobytes()
    (folder / "net.weights").write_bytes(header + numbers.tobytes())
    done = run("net.cfg", "net.weights", "-o", "net.arch", "--weights", "net.safetensors")
    assert done.exit_code == 0, done.output
    text = (folder / "net.arch").read_text("utf-8")
    assert "# Imported from net.cfg, net.weights by archdsl " in text
    assert "with its own weights." in text
    model = archdsl.load("net.arch")
    state = load_file("net.safetensors")
    assert build(model).load_state_dict(state, strict=True)
    # Darknet's order: biases, factors, means, variances, and the convolution.
    assert np.array_equal(numbers[:8], state["1.bias"].numpy())
    assert np.array_equal(numbers[32:], state["0.weight"].numpy().ravel())


def test_a_source_in_the_place_of_a_spec(folder: Path) -> None:
    runner = CliRunner()
    checked = runner.invoke(commands, ["check", "net.cfg", "net.cfg"])
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.count("Net  32x32x3") == 1
    assert "Net  32x32x3 → 1x1x8  net.cfg:" in checked.stdout
    drawn = runner.invoke(commands, ["draw", "mynet.py:Net", "--input", "32x32x3", "-o", "net.svg"])
    assert drawn.exit_code == 0, drawn.output
    assert "note: mynet.py is executed" in drawn.stderr
    assert (folder / "net.svg").read_text("utf-8").startswith("<svg")
    compiled = runner.invoke(commands, ["compile", "net.cfg", "-o", "net.py"])
    assert compiled.exit_code == 0, compiled.output
    assert "Generated by archdsl from net.cfg." in (folder / "net.py").read_text("utf-8")
    refused = runner.invoke(commands, ["check", "mynet.py:Roll", "--input", "8x8x3"])
    assert refused.exit_code == 2
    assert "`torch.roll` is not in the language" in refused.stderr


#: Two images, as `--input` takes them.
PAIR = ("--input", "left: 8x8x1, right: 8x8x1")


def test_several_inputs(folder: Path) -> None:
    done = run("mynet.py:Twins", *PAIR, "-o", "twins.arch")
    assert done.exit_code == 0, done.output
    assert "Twins: (left: 8x8x1, right: 8x8x1) → 1," in done.stderr
    runner = CliRunner()
    for words in (
        ["check", "mynet.py:Twins", *PAIR],
        ["draw", "mynet.py:Twins", *PAIR, "-o", "twins.svg"],
        ["compile", "mynet.py:Twins", *PAIR, "-o", "twins.py"],
        ["export", "mynet.py:Twins", *PAIR, "--onnx", "-o", "twins.onnx"],
        ["import", "twins.onnx", "-o", "again.arch"],
    ):
        assert (again := runner.invoke(commands, words)).exit_code == 0, again.output
    assert "def forward(self, left: Tensor, right: Tensor)" in (folder / "twins.py").read_text()
    (spec, again_spec) = (archdsl.load(folder / f"{name}.arch") for name in ("twins", "again"))
    assert again_spec.signature == spec.signature
    trained = runner.invoke(commands, ["train", "mynet.py:Twins", *PAIR, "--data", "digits"])
    assert (trained.exit_code, "has 2 inputs" in trained.stderr) == (2, True)


@pytest.mark.parametrize("command", ["check", "draw", "compile"])
def test_a_spec_names_its_inputs_itself(command: str) -> None:
    Path("bare.arch").write_text("fc 3\n", "utf-8")
    done = CliRunner().invoke(commands, [command, "bare.arch", "--input", "x: 8, y: 8"])
    assert done.exit_code == 2
    assert "`--input` with names is for networks from elsewhere" in done.stderr


def test_what_is_formatted_is_no_source() -> None:
    done = CliRunner().invoke(commands, ["fmt", "mynet.py:Net"])
    assert done.exit_code == 2
    assert "cannot read the file" in done.stderr
