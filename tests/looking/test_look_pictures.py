"""The pictures of looking: what is on them, and that it can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from looks import trained

from archdsl.drawing import render_picture
from archdsl.drawing.canvas.bounds import bounds_of, single_marks
from archdsl.drawing.canvas.marks import Group, Line, Picture, Raster, Text, texts_in
from archdsl.drawing.options import SMALLEST_TEXT
from archdsl.looking.activations import Activations, record_activations
from archdsl.looking.answers import percentage
from archdsl.looking.colours import colours_of
from archdsl.looking.errors import LookingError
from archdsl.looking.filters import draw_filters
from archdsl.looking.panels import Area, bar_marks, map_marks, short, wrapped
from archdsl.looking.part import draw_part
from archdsl.looking.pipeline import draw_pipeline, strongest
from archdsl.looking.stages import choose_stages, find_stage

pytestmark = pytest.mark.filterwarnings("ignore")


def activations() -> Activations:
    return record_activations(trained().specimen, trained().image)


def pipeline(channels: int = 4) -> Picture:
    specimen = trained().specimen
    stages = choose_stages(specimen.model)
    return draw_pipeline(specimen, activations(), stages, image_name="edge.png", channels=channels)


def part(name: str, channels: int | None = None) -> Picture:
    specimen = trained().specimen
    stage = find_stage(specimen.model, name)
    return draw_part(specimen, activations(), stage, image_name="edge.png", channels=channels)


PICTURES = {
    "pipeline": pipeline,
    "many channels": lambda: pipeline(30),
    "one channel": lambda: pipeline(1),
    "a part": lambda: part("mix"),
    "units": lambda: part("out"),
    "filters": lambda: draw_filters(trained().specimen),
    "a table of filters": lambda: draw_filters(trained().specimen, "tail"),
    "a matrix": lambda: draw_filters(trained().specimen, "mix"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_can_be_read(kind: str) -> None:
    """All is on the page; no text is too small, or on another one, or on pixels."""
    picture = PICTURES[kind]()
    assert picture.smallest_text >= SMALLEST_TEXT
    marks = list(single_marks(picture.marks))
    for mark in marks:
        bounds = bounds_of(mark)
        assert bounds.left >= 0, mark
        assert bounds.top >= 0, mark
        assert bounds.right <= picture.width, mark
        assert bounds.bottom <= picture.height, mark
    texts = [(mark, bounds_of(mark)) for mark in marks if isinstance(mark, Text)]
    for (one, first), (other, second) in combinations(texts, 2):
        assert not first.overlaps(second), (one.text, other.text)
    rasters = [bounds_of(mark) for mark in marks if isinstance(mark, Raster)]
    for one, other in combinations(rasters, 2):
        assert not one.overlaps(other)
    for text, bounds in texts:
        assert not any(bounds.overlaps(raster) for raster in rasters), text.text


@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_the_same_look_gives_the_same_bytes(format: str) -> None:
    assert render_picture(pipeline(), format, "light") == render_picture(
        pipeline(), format, "light"
    )


def groups(picture: Picture) -> dict[str, Group]:
    found = [mark for mark in picture.marks if isinstance(mark, Group)]
    return {group.title.partition(":")[0]: group for group in found}


def rasters_of(group: Group) -> list[Raster]:
    return [mark for mark in single_marks(group.marks) if isinstance(mark, Raster)]


def test_maps_have_the_colours_of_their_numbers() -> None:
    """The cells of a stage are its strongest maps, pixel by pixel, with one scale for all."""
    values = activations().values[find_stage(trained().specimen.model, "tail.0").node]
    picked = strongest(values, 4)
    largest = values[picked].abs().max().item()
    *cells, _scale = rasters_of(groups(pipeline())["tail.0"])
    assert len(cells) == 4
    for cell, channel in zip(cells, picked, strict=True):
        assert (cell.rows, cell.columns) == tuple(values.shape[1:])
        wanted = colours_of(values[channel], largest)
        assert cell.pixels == bytes(wanted.flatten().tolist())
        # 8×10 pixels are squares.
        assert cell.height / cell.width == pytest.approx(cell.rows / cell.columns)


def test_pooling_shows_the_maps_that_it_reads() -> None:
    texts = {
        name: [text.text for text in texts_in(group.marks) if text.text.isdecimal()]
        for name, group in groups(pipeline()).items()
    }
    assert texts["tail.0"][:4] == texts["tail.1"][:4] == texts["tail.2"][:4]
    assert texts["stem.0"] != texts["tail.0"]


def test_the_range_and_zero_are_noted() -> None:
    values = activations().values[find_stage(trained().specimen.model, "tail.0").node]
    shown = values[strongest(values, 4)]
    texts = [text.text for text in texts_in(groups(pipeline())["tail.0"].marks)]
    assert short(shown.min().item()) in texts
    assert short(shown.max().item()) in texts
    *_, scale = rasters_of(groups(pipeline())["tail.0"])
    ticks = [
        bounds_of(mark)
        for mark in single_marks(groups(pipeline())["tail.0"].marks)
        if isinstance(mark, Line) and mark.stroke == "ink"
    ]
    share = -shown.min().item() / (shown.max() - shown.min()).item()
    assert len(ticks) == 1
    middle = (ticks[0].left + ticks[0].right) / 2
    assert middle == pytest.approx(scale.at[0] + share * scale.width, abs=0.01)


def test_the_answer_is_in_words() -> None:
    picture = pipeline()
    probabilities = activations().answer
    best = int(probabilities.argmax())
    name = trained().specimen.classes[best]
    texts = [text.text for text in texts_in(picture.marks)]
    share = percentage(probabilities[best].item())
    assert f"Look sees {name} ({share}) in edge.png" in texts
    assert {percentage(value) for value in probabilities.tolist()} <= set(texts)
    # The last layer has a bar for each class, with its name.
    out = [text.text for text in texts_in(groups(picture)["out"].marks)]
    assert set(trained().specimen.classes) <= set(out)


def test_percentages_are_never_certain() -> None:
    assert [percentage(share) for share in (0.99951, 0.9994, 0.5, 0.0004)] == [
        "> 99.9 %",
        "99.9 %",
        "50.0 %",
        "< 0.1 %",
    ]


def test_bars_go_from_zero_to_both_sides() -> None:
    marks = bar_marks([2.0, -1.0, 0.0, 1.0], Area(10, 0, 90, 40))
    negative, positive, axis = (mark for mark in marks if isinstance(mark, Line))
    assert bounds_of(axis).left == pytest.approx(40, abs=0.5)
    assert (bounds_of(negative).left, bounds_of(negative).right) == (10, 40)
    assert (bounds_of(positive).left, bounds_of(positive).right) == (40, 100)
    # Two bars in one mark, 10 points from each other but for the zero in between.
    tops = {round(y, 3) for _, points in positive.commands for _, y in points}
    assert tops == {1.5, 8.5, 31.5, 38.5}


def test_large_maps_are_averaged_down() -> None:
    values = torch.arange(400.0 * 400).reshape(400, 400)
    (raster,) = (m for m in map_marks(values, 1e5, Area(0, 0, 10, 10)) if isinstance(m, Raster))
    assert (raster.rows, raster.columns) == (40, 40)
    mean = values.reshape(40, 10, 40, 10).mean(dim=(1, 3))
    assert raster.pixels == bytes(colours_of(mean, 1e5).flatten().tolist())


def test_what_is_not_finite_has_no_colour() -> None:
    specimen, found = trained().specimen, activations()
    stage = find_stage(specimen.model, "mix")
    broken = {**found.values, stage.node: found.values[stage.node] / 0}
    with pytest.raises(LookingError, match="the result of `mix` is not finite"):
        draw_part(specimen, replace(found, values=broken), stage, image_name="x.png")


def test_numbers_and_lines_are_short() -> None:
    assert [short(value) for value in (-0.0001234, 0.0, -0.0, 12.345, -98765.4)] == [
        "−0.000123",
        "0",
        "0",
        "12.3",
        "−98,765",
    ]
    assert wrapped("one two three", 10, 45, 2) == ["one two", "three"]


# ── Filters ──────────────────────────────────────────────────────────────────────────────────


def test_the_first_filters_are_in_colour_with_grey_as_zero() -> None:
    picture = draw_filters(trained().specimen)
    weight: Any = trained().specimen.network.get_submodule("stem.0").weight.detach()
    cells = [mark for mark in single_marks(picture.marks) if isinstance(mark, Raster)]
    assert len(cells) == len(weight) == 6
    wanted = (255 * (0.5 + weight / (2 * weight.abs().max()))).round().to(torch.uint8)
    for cell, filter in zip(cells, wanted, strict=True):
        assert cell.pixels == bytes(filter.permute(1, 2, 0).flatten().tolist())


def test_a_table_has_each_filter_and_each_channel() -> None:
    picture = draw_filters(trained().specimen, "tail", channels=3)
    weight: Any = trained().specimen.network.get_submodule("tail.0").weight.detach()
    cells = [mark for mark in single_marks(picture.marks) if isinstance(mark, Raster)][:-1]
    picked = sorted(weight.flatten(1).norm(dim=1).topk(3).indices.tolist())
    assert len(cells) == 3 * 7
    shown = weight[picked]
    largest = shown.abs().max().item()
    assert cells[8].pixels == bytes(colours_of(shown[1, 1], largest).flatten().tolist())
    texts = " ".join(text.text for text in texts_in(picture.marks))
    assert "The 3 with the largest norm." in texts
    assert re.search(r"5 filters of 3x3x7", texts)


def test_what_has_no_filters_is_refused() -> None:
    with pytest.raises(LookingError, match="`out` of Look has no convolution of images"):
        draw_filters(trained().specimen, "out")
