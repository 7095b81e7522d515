"""``archdsl import``: files, flags, faults."""

from __future__ import annotations

import re
from pathlib import Path

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


def fails() -> nn.Module:
    raise RuntimeError("no weights here")


def number() -> int:
    return 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(NET, "utf-8")
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
