"""`archdsl draw --run`: what a trained network makes of an image, on the fronts of its volumes."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from looks import SPEC, Trained, train, trained, write_image
from PIL import Image

from archdsl.cli.commands import commands
from archdsl.drawing import DrawingError, Options, render_drawing, render_picture
from archdsl.drawing.canvas.marks import Group, Mark, Picture, Raster, texts_in
from archdsl.drawing.volumes.picture import volumes_picture
from archdsl.layers import Family
from archdsl.looking.activations import Activations, record_activations
from archdsl.looking.answers import percentage
from archdsl.looking.colours import colours_of
from archdsl.looking.faces import MapFaces
from archdsl.looking.pipeline import draw_pipeline, strongest
from archdsl.looking.specimen import Specimen, open_specimen
from archdsl.looking.stages import choose_stages

pytestmark = pytest.mark.filterwarnings("ignore")

#: Groups, an odd one among three equal layers, and a volume of 1×1.
GROUPED = """
network Grouped: 16x20x3 → 70 {
  conv 3x3 6 same relu; { conv 3x3 6 same relu } ×3
  halves: conv 3x3 8 s2 same g2 relu; avgpool 2; conv 4x5 70; flatten
}
"""


def faces(of: Trained | None = None) -> tuple[Specimen, Activations, MapFaces]:
    of = of or trained()
    activations = record_activations(of.specimen, of.image)
    return of.specimen, activations, MapFaces(of.specimen, activations, "edge.png")


def grouped(folder: Path) -> Trained:
    run_folder = train(GROUPED, folder)
    path = write_image(folder / "edge.png")
    specimen = open_specimen(run_folder)
    return Trained(run_folder, path, specimen, specimen.finished.prepare(path))


def rasters(marks: tuple[Mark, ...], said: str = "") -> Iterator[tuple[str, Raster]]:
    """The pixels of a picture, each with the tooltip nearest to it."""
    for mark in marks:
        if isinstance(mark, Group):
            yield from rasters(mark.marks, mark.title or said)
        elif isinstance(mark, Raster):
            yield said, mark


def picture(options: Options | None = None, of: Trained | None = None) -> Picture:
    specimen, _, made = faces(of)
    return volumes_picture(specimen.model, options or Options(), made)


def test_fronts_are_the_maps_of_look() -> None:
    """The same channels, and the same pixels."""
    specimen, activations, made = faces()
    shown = draw_pipeline(
        specimen, activations, choose_stages(specimen.model), image_name="edge.png", channels=1
    )
    maps = {
        (raster.columns, raster.rows, raster.pixels)
        for said, raster in rasters(shown.marks)
        if said.startswith("channel ")
    }
    fronts = [face for said, face in rasters(picture().marks) if said.startswith("channel ")]
    assert len(fronts) >= 6
    for front in fronts:
        assert (front.columns, front.rows, front.pixels) in maps
    for node in specimen.model.layers:
        if node.head is not None:
            assert made.front(node.id) is None


def test_a_front_has_the_colours_of_its_numbers() -> None:
    specimen, activations, made = faces()
    node = next(n for n in specimen.model.layers if specimen.model.names[n.id] == "stem.1")
    values = activations.values[node.id]
    channel = strongest(activations.values[node.inputs[0]], 1)[0]
    largest = values[channel].abs().max().item()
    front = made.front(node.id)
    assert front is not None
    assert front.said.startswith(f"channel {channel}: from ")
    assert front.pixels == colours_of(values[channel], largest).numpy().tobytes()
    image = made.front(specimen.model.inputs[0].id)
    assert image is not None
    pixels = specimen.finished.pixels(trained().image_path)
    assert image.pixels == pixels.permute(1, 2, 0).contiguous().numpy().tobytes()


def test_pooling_shows_the_map_that_it_reads() -> None:
    specimen, activations, made = faces()
    names = {name: id for id, name in specimen.model.names.items()}
    channels = [
        made.front(names[name]).said.partition(":")[0]  # type: ignore[union-attr]
        for name in ("stem.0", "stem.1", "pool")
    ]
    channel = strongest(activations.values[names["stem.0"]], 1)[0]
    assert channels == [f"channel {channel}"] * 3


def test_png_has_the_pixels_of_the_maps() -> None:
    """In the middle of each pixel of each map, to the last bit."""
    made = picture()
    with Image.open(BytesIO(render_picture(made, "png", "light"))) as drawn:
        shown = np.asarray(drawn.convert("RGB"))
    scale = shown.shape[1] / made.width
    count = 0
    for _, raster in rasters(made.marks):
        wanted = np.frombuffer(raster.pixels, np.uint8).reshape(raster.rows, raster.columns, 3)
        across = raster.at[0] + (np.arange(raster.columns) + 0.5) * raster.width / raster.columns
        down = raster.at[1] + (np.arange(raster.rows) + 0.5) * raster.height / raster.rows
        if min(raster.width / raster.columns, raster.height / raster.rows) * scale < 3:
            continue
        rows, columns = (down * scale).astype(int), (across * scale).astype(int)
        assert np.array_equal(shown[np.ix_(rows, columns)], wanted)
        count += 1
    assert count >= 8


def test_a_vector_is_a_bar_of_its_units(tmp_path: Path) -> None:
    of = grouped(tmp_path)
    specimen, activations, made = faces(of)
    model = specimen.model
    last = model.nodes[model.ends[0]]
    before = model.nodes[last.inputs[0]]  # 1×1×70
    values = activations.values[last.id]
    # 70 units are more than 64: two of them share a cell, by the one that is further from zero.
    cells = torch.stack([pair[pair.abs().argmax()] for pair in values.split(2)])
    wanted = colours_of(cells, cells.abs().max().item()).numpy().tobytes()
    for node in (last, before):
        front = made.front(node.id)
        assert front is not None
        assert (front.columns, front.rows, front.pixels) == (1, 35, wanted)
        assert front.said.startswith("70 units, the largest of 2 each: from ")


def test_groups_and_equal_layers_show_results_of_their_own(tmp_path: Path) -> None:
    of = grouped(tmp_path)
    specimen, activations, made = faces(of)
    model = specimen.model
    node = next(n for n in model.layers if model.names[n.id] == "halves.1")
    pool = next(n for n in model.layers if n.inputs == (node.id,))
    values = activations.values[node.id]
    shown = [face.pixels for _, face in rasters(picture(of=of).marks)]
    activations.values[pool.id] = -activations.values[pool.id]
    for group, part in enumerate(values.split(4)):
        channel = strongest(part, 1)[0]
        front = made.front(node.id, group, 2)
        assert front is not None
        assert front.said.startswith(f"channel {4 * group + channel}: ")
        assert front.pixels in shown
        # And the pooling behind it the map that it reads, whatever its own numbers.
        pooled = made.front(pool.id, group, 2)
        assert pooled is not None
        assert pooled.said.partition(":")[0] == front.said.partition(":")[0]
    large = [n for n in model.layers if n.volume.sizes == (16, 20, 6)]
    equal = [n for n in large if n.layer.family is Family.ACTIVATION]
    assert len(equal) == 4
    drawn = [n for n in equal if made.front(n.id).pixels in shown]  # type: ignore[union-attr]
    # Of four that touch, as many as there is room for: the first ones and the last.
    assert len(drawn) >= 2
    assert drawn == [*equal[: len(drawn) - 1], equal[-1]]


def test_the_answer_is_below_the_last_volume() -> None:
    _, activations, _ = faces()
    order = activations.answer.sort(descending=True, stable=True)
    texts = [text.text for text in texts_in(picture().marks)]
    for share, index in list(zip(*order, strict=True))[:3]:
        assert f"{trained().specimen.classes[index]} · {percentage(share.item())}" in texts
    assert "fronts show the map with the largest activation," in " ".join(texts)


@pytest.mark.parametrize("fit", ["a4", "slide", "column"])
def test_pages_are_legible_and_bytes_repeat(fit: str) -> None:
    specimen, _, made = faces()
    options = Options(fit=fit)  # type: ignore[arg-type]
    for format in ("svg", "png", "pdf"):
        one, two = (
            render_drawing(specimen.model, format, options, "volumes", each)
            for each in (made, faces()[2])
        )
        assert one.content == two.content
        assert not one.notes
    assert picture(options).smallest_text >= 6


def test_what_cannot_show_pixels_is_refused() -> None:
    specimen, _, made = faces()
    for format, style, said in (
        ("tikz", "volumes", "TikZ has no pixels"),
        ("svg", "graph", "the graph style has no option --run"),
        ("md", "table", "the table style has no option --run"),
    ):
        with pytest.raises(DrawingError, match=said):
            render_drawing(specimen.model, format, style=style, faces=made)


# ── The command ──────────────────────────────────────────────────────────────────────────────


def draw(*words: object) -> Result:
    return CliRunner().invoke(commands, ["draw", *map(str, words)])


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_command_draws_a_run(here: Path, ending: str) -> None:
    (here / "look.arch").write_text(SPEC, "utf-8")
    words = ("--run", trained().folder, "--image", trained().image_path)
    done = draw("look.arch", *words, "--format", ending)
    assert (done.exit_code, done.output) == (0, f"drawings/look-on-edge.{ending}\n")
    specimen, _, made = faces()
    expected = render_drawing(specimen.model, ending, Options(), "volumes", made).content
    assert (here / f"drawings/look-on-edge.{ending}").read_bytes() == expected
    assert draw("look.arch", *words, "-o", f"x.{ending}").output == f"x.{ending}\n"
    assert draw("look.arch", *words, "-o", "-", "--format", ending).stdout_bytes == expected


def test_comments_and_recipes_may_differ(here: Path) -> None:
    text = f"# another comment\n{SPEC}".replace("dropout 0.5", "dropout 0.5  # here, too")
    text = text.rstrip().removesuffix("}") + "  train { data digits; batch 7; epochs 3 }\n}\n"
    (here / "look.arch").write_text(text, "utf-8")
    done = draw("look.arch", "--run", trained().folder, "--image", trained().image_path)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["net.arch", "--run", "{run}"], "--run and --image belong together"),
        (["net.arch", "--image", "{image}"], "--run and --image belong together"),
        (
            ["net.arch", "--run", "{run}", "--image", "{image}", "--style", "graph"],
            "the graph style has no option --run",
        ),
        (
            ["net.arch", "--run", "{run}", "--image", "{image}", "-o", "x.tex"],
            "TikZ has no pixels",
        ),
        (["net.arch", "net2.arch", "--run", "{run}", "--image", "{image}"], "2 given"),
        (
            ["net2.arch", "--run", "{run}", "--image", "{image}"],
            "`layers.1` is a nn.ReLU; by the spec it is a nn.Tanh",
        ),
        (["net3.arch", "--run", "{run}", "--image", "{image}"], "net3.arch has no network Look"),
        (["net.arch", "--run", "nowhere", "--image", "{image}"], "nowhere is not the folder"),
        (["net.arch", "--run", "{run}", "--image", "no.png"], "no.png: cannot be read"),
        (["blocks.arch", "--run", "{run}", "--image", "{image}"], "has no network Look"),
    ],
)
def test_what_does_not_go_together_is_refused(here: Path, words: list[str], said: str) -> None:
    (here / "net.arch").write_text(SPEC, "utf-8")
    (here / "net2.arch").write_text(SPEC.replace("fc 9 relu", "fc 9 tanh"), "utf-8")
    two = "network A: 8x8x3 → 2 { fc 2 }\nnetwork B: 8x8x3 → 3 { fc 3 }\n"
    (here / "net3.arch").write_text(two, "utf-8")
    (here / "blocks.arch").write_text("block one(n) { conv 1x1 n }\n", "utf-8")
    names = {"run": trained().folder, "image": trained().image_path}
    done = draw(*(word.format(**names) for word in words))
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert not list(here.rglob("*.svg")) + list(here.rglob("*.tex"))
