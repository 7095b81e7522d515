"""The document of a page in which a network runs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archdsl.drawing.canvas.palette import Theme
from archdsl.drawing.page.template import fill_template, script_json, script_of, style_of
from archdsl.looking.answers import TOP
from archdsl.looking.colours import STEPS, colour_map
from archdsl.looking.live.network import (
    INPUT,
    PROBABILITIES,
    check_size,
    convert_network,
    output_of,
)
from archdsl.looking.live.runtime import (
    packed,
    read_binary,
    read_interface,
    read_licence,
    read_notices,
)
from archdsl.looking.live.samples import Frame, SamplePicture, take_samples
from archdsl.looking.pipeline import CHANNELS, columns_of, look_of, what_it_reads
from archdsl.looking.specimen import Specimen
from archdsl.looking.stages import Stage, choose_stages, keeps_channels
from archdsl.train.data.appearance import LEAST_STD, UNLIKE
from archdsl.train.data.preparation import MOST_PADDING, check_input

_FOLDER = Path(__file__).parent
_SCRIPTS = ("prepare.js", "sheet.js", "stages.js", "live.js")
#: Sample pictures, where the call does not say.
SAMPLES = 10


def render_live_page(
    specimen: Specimen,
    *,
    image: Path | None = None,
    part: Stage | None = None,
    channels: int | None = None,
    samples: int = SAMPLES,
    theme: Theme = "auto",
) -> str:
    """The HTML of a page in which the network runs on what is drawn or opened there.

    It has the stages of ``draw_pipeline`` with ``channels`` maps of each, or one ``part`` with all
    of them; it begins with ``image``, and has ``samples`` of the run's validation to choose from.

    Errors:
        LookingError, ToolError: for a network that takes no images, is too large for a page, or
            whose results onnxruntime does not give; TrainError for an image that cannot be read.
    """
    finished = specimen.finished
    specimen.refuse_without_classes()
    finished.refuse_finished_data()
    check_input(finished.input)
    check_size(specimen.model)
    pictures, frame = take_samples(specimen, samples)
    if image is not None:
        pictures.insert(0, SamplePicture(image.name, finished.pixels(image)))
    stages = choose_stages(specimen.model) if part is None else (part,)
    empty = torch.zeros(finished.input.torch_sizes, dtype=torch.uint8)
    first = finished.normalize(pictures[0].pixels if pictures else empty)
    facts = {
        "network": specimen.name,
        "classes": specimen.classes,
        "top": TOP,
        "input": _input(specimen),
        "data": _data(specimen, frame),
        "names": {"input": INPUT, "probabilities": PROBABILITIES},
        "stages": _stages(specimen, stages, is_part=part is not None),
        "channels": channels or (CHANNELS if part is None else None),
        "across": columns_of(channels or CHANNELS),
        "colours": _encoded(colour_map()),
        "steps": STEPS,
        "samples": [
            {"name": picture.name, "pixels": _encoded(picture.pixels)} for picture in pictures
        ],
        "starts": image is not None,
    }
    return fill_template(
        _FOLDER / "live.html.jinja",
        title=f"{specimen.name}, live",
        network=specimen.name,
        volume=str(specimen.model.input),
        is_grey=finished.input.channels == 1,
        is_part=part is not None,
        theme=theme,
        style=style_of(theme, _FOLDER / "live.css"),
        script=script_of(*(_FOLDER / name for name in _SCRIPTS)),
        facts=script_json(facts),
        parts={
            "interface": packed(read_interface()),
            "binary": packed(read_binary()),
            "network": packed(convert_network(specimen, stages, first)),
            "notices": packed(read_notices()),
        },
        licence=read_licence(),
    )


def _input(specimen: Specimen) -> dict[str, Any]:
    """What an image has to become: ``Preparation`` and ``Normalization`` in numbers."""
    finished = specimen.finished
    volume = finished.input
    preparation = finished.preparation
    scale, offset = finished.normalization.line
    return {
        "volume": str(volume),
        "channels": volume.channels,
        "size": preparation.size,
        "frame": preparation.frame,
        "padding": MOST_PADDING,
        "scale": scale.flatten().tolist(),
        "offset": offset.flatten().tolist(),
    }


def _data(specimen: Specimen, frame: Frame | None) -> dict[str, Any]:
    """How the images of the training look, by which ``predict`` notices others."""
    finished = specimen.finished
    appearance = finished.appearance
    area = frame and [frame.top, frame.left, frame.bottom, frame.right]
    return {
        "name": finished.facts["data"]["name"],
        "appearance": appearance.facts() if appearance else None,
        "unlike": UNLIKE,
        "leastStd": LEAST_STD,
        "area": area,
    }


def _stages(specimen: Specimen, stages: Sequence[Stage], *, is_part: bool) -> list[dict[str, Any]]:
    model = specimen.model
    before = model.inputs[0].id
    names = {before: "input", **{stage.node: stage.name for stage in stages}}
    places = {stage.node: place for place, stage in enumerate(stages)}
    found = []
    for stage in stages:
        node = model.nodes[stage.node]
        volume = stage.volume
        kind = "bars" if volume.positions == 1 else "table" if volume.rank == 1 else "maps"
        source = places.get(node.inputs[0]) if keeps_channels(model, node) else None
        read = "" if is_part else what_it_reads(stage, before, names)
        found.append(
            {
                "output": output_of(stage),
                "name": stage.name,
                "statement": stage.statement,
                "look": look_of(stage, node.layer.family),
                "volume": str(volume),
                "sizes": list(volume.torch_sizes),
                "kind": kind,
                "reads": read,
                "follows": not read and not is_part,
                "like": source,
                "isAnswer": specimen.is_answer(stage.node),
            }
        )
        before = stage.node
    return found


def _encoded(values: Tensor) -> str:
    return b64encode(values.contiguous().numpy().tobytes()).decode("ascii")
