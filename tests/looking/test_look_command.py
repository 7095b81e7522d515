"""`archdsl look` from the command line: files, options, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from looks import train, trained, write_image
from PIL import Image
from runs import run

import archdsl
from archdsl.cli.commands import commands
from archdsl.drawing.canvas.marks import Raster, texts_in
from archdsl.looking.activations import record_activations
from archdsl.looking.answers import lay_answer, tell_answer
from archdsl.looking.panels import short
from archdsl.looking.specimen import open_specimen
from archdsl.recipe import Recipe
from archdsl.recipe.losses import CrossEntropy, MeanSquaredError
from archdsl.train.masks import coloured

MSE = MeanSquaredError()

pytestmark = pytest.mark.filterwarnings("ignore")


def look(*words: object) -> Result:
    return CliRunner().invoke(commands, ["look", *map(str, words)])


def test_the_default_picture_is_named_after_run_and_image(here: Path) -> None:
    done = look(trained().folder, trained().image_path)
    assert (done.exit_code, done.output) == (0, "drawings/run-edge.svg\n")
    svg = (here / "drawings" / "run-edge.svg").read_text("utf-8")
    assert "in edge.png" in svg
    assert svg.count("<image ") > 30
    done = look(trained().folder, "--filters", "--part", "tail")
    assert done.output == "drawings/run-tail-filters.svg\n"


STARTS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<svg"}


@pytest.mark.parametrize("ending", STARTS)
def test_the_ending_is_the_format(here: Path, ending: str) -> None:
    path = here / f"new/picture.{ending}"
    done = look(trained().folder, trained().image_path, "-o", path, "--part", "mix")
    assert done.exit_code == 0, done.output
    assert path.read_bytes().startswith(STARTS[ending])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_channels_limit_the_maps(here: Path) -> None:
    few, many = here / "few.svg", here / "many.svg"
    for path, count in ((few, 1), (many, 7)):
        assert look(trained().folder, trained().image_path, "--channels", count, "-o", path)
    assert few.read_text("utf-8").count("<image ") < many.read_text("utf-8").count("<image ")


def test_an_svg_brings_its_letters(here: Path) -> None:
    svgs = {}
    for fonts in ("embed", "outline", "system"):
        path = here / f"{fonts}.svg"
        assert look(trained().folder, "--filters", "--fonts", fonts, "-o", path).exit_code == 0
        svgs[fonts] = path.read_text("utf-8")
    assert ["@font-face" in svg for svg in svgs.values()] == [True, False, False]
    assert ["<text " in svg for svg in svgs.values()] == [True, False, True]


CALLS = [
    ("no image", ["{run}"], "Missing argument 'IMAGE'"),
    ("no run", ["nowhere", "{image}"], "nowhere is not the folder of a run"),
    ("missing image", ["{run}", "no.png"], "no.png: cannot be read: No such file"),
    ("no part", ["{run}", "{image}", "--part", "mixx"], "has no part `mixx`: did you mean `mix`?"),
    ("no ending", ["{run}", "{image}", "-o", "x"], "'x' does not end in .svg, .png, .pdf, .html"),
    ("a page of a method", ["{run}", "--filters", "-o", "x.html"], "--filters is a picture: name"),
    ("a page of a class", ["{run}", "--class", "1", "-o", "x.html"], "says nothing about feature"),
    ("a page of no part", ["{run}", "--part", "mixx", "-o", "x.html"], "did you mean `mix`?"),
    ("a page of no image", ["{run}", "no.png", "-o", "x.html"], "no.png: cannot be read: No such"),
    ("samples", ["{run}", "{image}", "--samples", "3"], "--samples says nothing about a picture"),
    (
        "fonts",
        ["{run}", "{image}", "--fonts", "outline", "-o", "x.pdf"],
        "nothing about pdf",
    ),
    ("two", ["{run}", "{image}", "--saliency", "--occlusion"], "are different pictures"),
    ("an image of filters", ["{run}", "{image}", "--filters"], "the same for any image"),
    ("a class of maps", ["{run}", "{image}", "--class", "1"], "says nothing about feature maps"),
    (
        "a window of a gradient",
        ["{run}", "{image}", "--saliency", "--window", "3"],
        "--window says",
    ),
    ("no class", ["{run}", "{image}", "--saliency", "--class", "99"], "numbered from 0 to 3"),
    ("a vector", ["{run}", "{image}", "--grad-cam", "--part", "out"], "needs maps with a height"),
    (
        "a wide window",
        ["{run}", "{image}", "--occlusion", "--window", "17"],
        "larger than the 16x20",
    ),
    ("gaps", ["{run}", "{image}", "--occlusion", "--window", "2", "--stride", "3"], "leaves gaps"),
]


@pytest.mark.parametrize(("words", "said"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_what_is_refused(here: Path, words: list[str], said: str) -> None:
    names = {"run": trained().folder, "image": trained().image_path}
    done = look(*(word.format(**names) for word in words))
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert [*here.rglob("*.svg"), *here.rglob("*.html"), *here.rglob("*.pdf")] == []


def test_what_is_no_image_is_refused(here: Path) -> None:
    (here / "x.png").write_text("no image")
    done = look(trained().folder, "x.png")
    assert done.exit_code == 2
    assert "x.png" in done.output
    assert done.output.count("\n") == 1


def change(folder: Path, kind: str) -> None:
    """Take from a run, or change in it, what is needed."""
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    spec = (folder / "spec.arch").read_text("utf-8")
    match kind:
        case "weights":
            for path in (*folder.glob("*.safetensors"), *folder.glob("checkpoints/*")):
                path.unlink()
        case "spec":
            (folder / "spec.arch").unlink()
        case "another":
            (folder / "spec.arch").write_text(spec.replace("stem:", "trunk:"), "utf-8")
        case "wider":
            (folder / "spec.arch").write_text(spec.replace("fc 9", "fc 8"), "utf-8")
        case "bent":
            (folder / "spec.arch").write_text(spec.replace("fc 9 relu", "fc 9 tanh"), "utf-8")
        case "module":
            text = (folder / "module.py").read_text("utf-8")
            (folder / "module.py").write_text(text.replace("nn.ReLU()", "nn.Tanh()", 1), "utf-8")
        case "inputs":
            text = "network Look: (a: 16x20x3, b: 16x20x3) → 4 { add { a | b }; fc 4 }"
            (folder / "spec.arch").write_text(text, "utf-8")
        case "finished":
            facts["data"]["finished"] = True
            (folder / "run.json").write_text(json.dumps(facts), "utf-8")


@pytest.mark.parametrize("ending", ["svg", "html"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("weights", "has no weights yet"),
        ("spec", "cannot read the spec of the run: "),
        ("another", "`stem.0` is a nn.Conv2d; the spec has no layer of that name"),
        ("wider", "`layers.0` has out_features=9; by the spec out_features=8"),
        ("bent", "`layers.1` is a nn.ReLU; by the spec it is a nn.Tanh"),
        ("module", "is a nn.Tanh; by the spec it is a nn.ReLU"),
        ("inputs", "Look has 2 inputs (`a`, `b`)"),
        ("finished", "come finished from the user's own data"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(here: Path, kind: str, said: str, ending: str) -> None:
    folder = here / "copy"
    shutil.copytree(trained().folder, folder)
    change(folder, kind)
    done = look(folder, trained().image_path, "-o", f"x.{ending}")
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert done.output.count("\n") == 1
    assert not Path(f"x.{ending}").exists()


# ── Pages ────────────────────────────────────────────────────────────────────────────────────


def test_a_page_needs_no_image(here: Path) -> None:
    done = look(trained().folder, "-o", "new/x.html", "--samples", 2)
    assert (done.exit_code, done.output) == (0, "new/x.html\n")
    page = Path("new/x.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count('<script type="text/plain" id=') == 4
    # The licence of what runs in it, and no path of this machine, nor an address to fetch from.
    assert "Permission is hereby granted" in page
    assert str(here) not in page
    assert "src=" not in page.split("<body")[1].split("<script")[0]


def test_a_page_of_a_large_network_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archdsl.looking.live import network

    monkeypatch.setattr(network, "MOST_PARAMETERS", 1000)
    done = look(trained().folder, "-o", "x.html")
    assert done.exit_code == 2
    assert "Look has 1,734 parameters: " in done.output
    assert "carries its weights, and takes 1,000 at most" in done.output
    assert not Path("x.html").exists()


def test_a_network_that_onnx_cannot_hold_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does something of which there is no operator, or onnxruntime has not got it."""
    from archdsl.looking.live import network
    from archdsl.torch_tools import onnx_graph

    def strange(results: Any, stages: Any) -> tuple[torch.Tensor, ...]:
        return tuple(map(torch.special.bessel_j0, outputs(results, stages)))

    outputs = network._outputs
    with monkeypatch.context() as patched:
        patched.setattr(network, "_outputs", strange)
        done = look(trained().folder, "-o", "x.html")
    assert done.exit_code == 2
    assert "torch cannot export this to ONNX: " in done.output
    assert done.output.count("\n") == 1

    def foreign(*words: object, **more: object) -> object:
        proto = onnx_graph.convert_module(*words, **more)  # type: ignore[arg-type]
        proto.graph.node[0].op_type = "Unheard"
        return proto

    monkeypatch.setattr(network, "convert_module", foreign)
    done = look(trained().folder, "-o", "x.html")
    assert done.exit_code == 2
    assert "onnxruntime cannot run this: " in done.output
    assert "Unheard" in done.output
    assert done.output.count("\n") == 1
    assert not Path("x.html").exists()


def test_results_that_are_not_torchs_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archdsl.looking.live import network
    from archdsl.torch_tools import onnx_graph

    def spoil(*words: object, **more: object) -> object:
        proto = onnx_graph.convert_module(*words, **more)  # type: ignore[arg-type]
        relu = next(node for node in proto.graph.node if node.op_type == "Relu")
        relu.op_type = "Abs"
        return proto

    monkeypatch.setattr(network, "convert_module", spoil)
    done = look(trained().folder, "-o", "x.html")
    assert done.exit_code == 2
    assert "in ONNX is not torch's: they differ by up to " in done.output


def test_a_missing_onnx_names_its_install(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    for name in [name for name in sys.modules if name.startswith(("archdsl.looking.live",))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("archdsl.torch_tools.export", "archdsl.torch_tools.onnx_graph"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = look(trained().folder, "-o", "x.html")
    assert done.exit_code == 2
    assert "a page that runs a network needs the package `onnx" in done.output
    assert "pip install 'archdsl[look]'" in done.output


def test_a_spec_with_other_files_is_given(here: Path) -> None:
    spec = (trained().folder / "spec.arch").read_text("utf-8")
    library, network = spec.split("network", 1)
    (here / "blocks.arch").write_text(library, "utf-8")
    (here / "net.arch").write_text(f'use "blocks.arch"\nnetwork{network}', "utf-8")
    shutil.copytree(trained().folder, here / "copy")
    shutil.copy(here / "net.arch", here / "copy" / "spec.arch")
    done = look(here / "copy", trained().image_path)
    assert "pass the file it was trained from with --spec" in done.output
    done = look(here / "copy", trained().image_path, "--spec", here / "net.arch")
    assert done.exit_code == 0, done.output


def test_a_network_without_convolutions(here: Path) -> None:
    folder = train("network Flat: 8x8x1 → 3 { fc 5 relu; fc 3 }", here)
    image = write_image(here / "x.png")
    assert look(folder, image, "-o", "flat.png").exit_code == 0
    assert Image.open("flat.png").width > 500
    for words, said in (
        ([folder, image, "--grad-cam"], "Flat has no convolution whose maps have a height"),
        ([folder, "--filters"], "Flat has no convolution of images"),
    ):
        done = look(*words)
        assert done.exit_code == 2
        assert said in done.output


def test_a_missing_captum_names_its_install(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    for name in [name for name in sys.modules if name.startswith(("captum", "archdsl.looking"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "captum", None)
    done = look(trained().folder, trained().image_path, "--saliency")
    assert done.exit_code == 2
    assert "--saliency needs the package `captum" in done.output
    assert "pip install 'archdsl[look]'" in done.output


def test_torchvision_is_not_imported(here: Path) -> None:
    """It would take as long as all the rest. The image is a JPEG, and is resized."""
    image = here / "edge.jpg"
    Image.open(trained().image_path).save(image)
    words = ["look", str(trained().folder), str(image), "-o", "x.svg"]
    code = (
        "import atexit, sys; from archdsl.cli import main\n"
        "slow = 'torchvision', 'matplotlib', 'torch._dynamo.convert_frame'\n"
        "atexit.register(lambda: print([name for name in slow if name in sys.modules]))\n"
        f"main({words})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


# ── Networks that tell no classes ────────────────────────────────────────────────────────────


TASKS = {
    "segmentation": ("network Look: 8x8x1 → 8x8x3 { conv 3x3 3 same }", "bands", CrossEntropy()),
    "reconstruction": ("network Look: 8x8x1 → 8x8x1 { conv 3x3 1 same }", "bands", MSE),
    "regression": ("network Look: 8x8x1 → 2 { conv 3x3 2; gap; flatten }", "sums", MSE),
}
OWN = """
import torch
def make(label):
    x = (torch.arange(64).reshape(1, 8, 8) * 4).to(torch.uint8)
    return [(x, label)] * 4, [(x, label)] * 4
def bands(): return *make(torch.arange(64).reshape(8, 8) // 22), ["low", "middle", "high"]
def sums(): return *make(torch.tensor([0.5, 2.0])), ["left", "right"]
"""


@pytest.mark.parametrize("task", TASKS)
def test_answers_of_other_tasks(here: Path, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    (here / "own_tasks.py").write_text(OWN, "utf-8")
    monkeypatch.syspath_prepend(str(here))
    spec, data, loss = TASKS[task]
    folder = run(archdsl.parse(spec), here, Recipe(f"own_tasks:{data}", 4, 1, loss=loss)).run.folder
    image = here / "ramp.png"
    Image.fromarray((np.arange(64).reshape(8, 8) * 4).astype(np.uint8)).save(image)
    specimen = open_specimen(folder)
    activations = record_activations(specimen, specimen.finished.prepare(image))
    with torch.no_grad():
        output = specimen.network(activations.image[None])[0]
    panel = lay_answer(specimen, activations, 92, 180)
    texts = [text.text for text in texts_in(panel.marks)]
    pixels = [mark for mark in panel.marks if isinstance(mark, Raster)]
    match task:
        case "segmentation":
            torch.testing.assert_close(activations.answer, output.softmax(0))
            mask = output.argmax(0)
            assert (
                pixels[0].pixels == coloured(mask).permute(1, 2, 0).contiguous().numpy().tobytes()
            )
            named = {specimen.classes[i] for i in mask.flatten().tolist()}
            assert named == {text for text in texts if "%" not in text}
        case "reconstruction":
            data_facts = specimen.finished.facts["data"]
            shown = output * data_facts["std"][0] + data_facts["mean"][0]
            torch.testing.assert_close(activations.answer, shown)
            grey = (shown.clamp(0, 1) * 255).round().byte()
            assert pixels[0].pixels == grey.expand(3, -1, -1).permute(1, 2, 0).numpy().tobytes()
        case "regression":
            torch.testing.assert_close(activations.answer, output)
            assert texts == ["left", short(output[0].item()), "right", short(output[1].item())]
    done = look(folder, image, "-o", "x.svg")
    assert done.exit_code == 0, done.output
    assert tell_answer(specimen, activations, "ramp.png") in (here / "x.svg").read_text("utf-8")
    for method in ("--saliency", "--occlusion", "--grad-cam"):
        refused = look(folder, image, method)
        assert refused.exit_code == 2
        assert f"is a run of {task}; its network does not tell classes" in refused.output
    refused = look(folder, "-o", "x.html")
    assert refused.exit_code == 2
    assert f"is a run of {task}; its network does not tell classes" in refused.output
