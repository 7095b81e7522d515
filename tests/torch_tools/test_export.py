"""``archdsl export``: the file, what is in it, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from oracle import build
from safetensors.torch import save_file

import archdsl
from archdsl.cli.commands import commands
from archdsl.torch_tools import export as exporting

SPEC = """\
network Small: 8x8x3 → 5 {
  conv 3x3 4 bn relu
  aux(0.3) { fc 5 }
  dropout 0.5
  out: fc 5
}
"""
TWO = "network One: 4x4x1 → 2 { fc 2 }\nnetwork Two: 4x4x1 → 3 { fc 3 }\n"
INITIAL = "note: no --weights given: these are initial weights, of seed 0\n"


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    Path("small.arch").write_text(SPEC, "utf-8")
    Path("two.arch").write_text(TWO, "utf-8")
    return lambda *argv: CliRunner().invoke(commands, ["export", *argv])


def outputs(path: str, images: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(["logits"], {"image": images.numpy()})
    return torch.from_numpy(found)


def sizes(value: Any) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_one_file_for_any_number_of_images(export: Callable[..., Result]) -> None:
    result = export("small.arch", "--onnx")
    assert result.exit_code == 0, result.output
    assert result.stderr == INITIAL
    first, second, last = result.stdout.splitlines()
    assert first.startswith("Small: ONNX opset ")
    assert ", any number of images, " in first
    assert second.startswith("the same as torch for 3 images: the largest difference is ")
    assert last == "wrote Small.onnx"
    assert {path.name for path in Path().iterdir()} == {"Small.onnx", "small.arch", "two.arch"}

    proto = onnx.load("Small.onnx")
    (image,), (logits,) = proto.graph.input, proto.graph.output
    assert (image.name, sizes(image)) == ("image", ["batch", 3, 8, 8])
    assert (logits.name, sizes(logits)) == ("logits", ["batch", 5])
    assert (proto.producer_name, proto.producer_version) == ("archdsl", archdsl.__version__)
    assert {item.key: item.value for item in proto.metadata_props} == {
        "archdsl.version": archdsl.__version__,
        "archdsl.network": "Small",
        "archdsl.spec": "small.arch",
        "archdsl.source": SPEC,
        "archdsl.weights": "initial, seed 0",
        "torch.version": torch.__version__,
    }
    for batch in (1, 4):
        assert outputs("Small.onnx", torch.ones(batch, 3, 8, 8)).shape == (batch, 5)


def test_no_path_of_this_machine_is_in_the_file(export: Callable[..., Result]) -> None:
    """torch notes the file and line of each step that it traced."""
    assert export("small.arch", "--onnx").exit_code == 0
    content = Path("Small.onnx").read_bytes()
    for path in (Path(torch.__file__).parent, Path(archdsl.__file__).parent, Path.cwd()):
        assert str(path).encode() not in content
    assert b"stack_trace" not in content


def test_given_weights_are_the_files(export: Callable[..., Result]) -> None:
    torch.manual_seed(7)
    network = build(archdsl.parse(SPEC)).eval()
    save_file(network.state_dict(), "w.safetensors")
    result = export("small.arch", "--onnx", "--weights=w.safetensors", "-o", "out/a.onnx")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = network(images)
    torch.testing.assert_close(outputs("out/a.onnx", images), expected, rtol=1e-4, atol=1e-5)
    props = {item.key: item.value for item in onnx.load("out/a.onnx").metadata_props}
    assert props["archdsl.weights"] == "w.safetensors"


def test_a_fixed_batch_and_opset(export: Callable[..., Result]) -> None:
    arguments = ("two.arch", "--onnx", "--network=Two", "--batch=1", "--opset=18")
    result = export(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Two: ONNX opset 18, 1 image, ")
    assert "the same as torch for 1 image: " in result.stdout
    content = Path("Two.onnx").read_bytes()
    proto = onnx.load_from_string(content)
    assert sizes(proto.graph.input[0]) == [1, 1, 4, 4]
    assert export(*arguments, "--force").exit_code == 0
    assert Path("Two.onnx").read_bytes() == content


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["small.arch"], "name a format; there is one: `--onnx`"),
        (["two.arch", "--onnx"], "two.arch has several networks: pass --network with one of One, "),
        (["small.arch", "--onnx", "--batch=0"], "'0' is neither a number of images nor `dynamic`"),
        (
            ["small.arch", "--onnx", "--opset=9"],
            "torch cannot export this with opset 9, only with 18",
        ),
        (["small.arch", "--onnx", "--weights=none"], "cannot read none: No such file or directory"),
        (
            ["small.arch", "--onnx", "--weights=small.arch"],
            "small.arch is not a file of weights that can be read safely",
        ),
    ],
)
def test_a_wrong_call(export: Callable[..., Result], argv: list[str], message: str) -> None:
    result = export(*argv)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert not list(Path().glob("*.onnx"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("out.bias"), "they have no `out.bias`"),
        (lambda state: state.update(more=torch.ones(1)), "the network has no `more`"),
        (
            lambda state: state.update({"out.bias": torch.ones(6)}),
            "`out.bias` has the shape [6], but the network needs [5]",
        ),
    ],
)
def test_weights_of_another_network(
    export: Callable[..., Result], change: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    state = build(archdsl.parse(SPEC)).state_dict()
    change(state)
    save_file(state, "w.safetensors")
    result = export("small.arch", "--onnx", "--weights=w.safetensors")
    assert result.exit_code == 2
    assert result.stderr == f"Error: the weights of w.safetensors do not fit: {message}\n"


def test_findings_in_the_spec(export: Callable[..., Result]) -> None:
    Path("wrong.arch").write_text("network W: 8x8x3 → 10 { conv 9x9 4; fc 10 }\n", "utf-8")
    result = export("wrong.arch", "--onnx")
    assert result.exit_code == 1
    assert result.stderr.startswith("error[kernel-larger-than-input]: ")


def test_a_file_is_overwritten_only_by_force(export: Callable[..., Result]) -> None:
    Path("Small.onnx").write_text("mine", "utf-8")
    result = export("small.arch", "--onnx")
    assert result.exit_code == 2
    assert result.stderr == "Error: Small.onnx already exists; use --force to overwrite it\n"
    assert Path("Small.onnx").read_text("utf-8") == "mine"


def test_outputs_that_are_not_torchs_are_refused(
    export: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = exporting._describe

    def spoil(proto: onnx.ModelProto, *rest: Any) -> None:
        describe(proto, *rest)
        bias = next(t for t in proto.graph.initializer if t.name == "out.bias")
        bias.raw_data = (onnx.numpy_helper.to_array(bias) + 1).tobytes()

    monkeypatch.setattr(exporting, "_describe", spoil)
    result = export("small.arch", "--onnx")
    assert result.exit_code == 2
    assert (
        "Error: the outputs of Small in ONNX are not torch's: they differ by up to 1.0e+00, "
        in (result.stderr)
    )
    assert not Path("Small.onnx").exists()


def test_a_network_beyond_two_gigabytes(export: Callable[..., Result]) -> None:
    Path("huge.arch").write_text("network H: 300x300x8 → 1000 { fc 1000 }\n", "utf-8")
    result = export("huge.arch", "--onnx")
    assert result.exit_code == 2
    assert result.stderr == ("Error: H has 2.9 GB of weights; one ONNX file holds 2 GB at most\n")


def test_without_onnxruntime_nothing_is_compared(
    export: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    result = export("small.arch", "--onnx")
    assert result.exit_code == 0
    assert result.stderr == (
        f"{INITIAL}note: not compared with torch: onnxruntime is not installed\n"
    )


def test_a_missing_package_names_its_install(
    export: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "archdsl.torch_tools.export")
    result = export("small.arch", "--onnx")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: export to ONNX needs the package `onnx`: pip install 'archdsl[export]'\n"
    )


def test_a_folder_takes_the_file_under_its_networks_name(export: Callable[..., Result]) -> None:
    Path("there").mkdir()
    assert export("small.arch", "--onnx", "-o", "there").stdout.endswith("wrote there/Small.onnx\n")
    assert export("small.arch", "--onnx", "-o", "new/").stdout.endswith("wrote new/Small.onnx\n")
    result = export("small.arch", "--onnx", "-o", "there")
    assert result.exit_code == 2
    assert "there/Small.onnx already exists; use --force" in result.stderr
