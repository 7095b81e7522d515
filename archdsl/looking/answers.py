"""What a network says of an image, in the terms of its task: in words, and as marks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archdsl.drawing.canvas.marks import Mark, Text, rectangle
from archdsl.drawing.canvas.palette import border_of
from archdsl.drawing.canvas.typeface import shortened, text_width
from archdsl.layers import Family
from archdsl.looking.activations import Activations
from archdsl.looking.panels import HEADING, SMALL, Area, image_marks, short
from archdsl.looking.specimen import Specimen
from archdsl.train.masks import coloured, mask_colours
from archdsl.train.prediction import pixel_shares

#: Classes that are named, or numbers, the first ones.
TOP = 5
#: Classes, or numbers, in a heading.
_NAMED = 3
_PITCH, _ROW = 27.0, 12.0


@dataclass(frozen=True, slots=True)
class AnswerPanel:
    """An answer as marks from (0, 0) on, with a heading and lines to be written above them."""

    heading: str
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]


def percentage(share: float) -> str:
    """A share in percent, never rounded up to certainty or down to nothing."""
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{share:.1%}".replace("%", " %")


def tell_answer(specimen: Specimen, activations: Activations, image_name: str) -> str:
    """The answer in a line: ``LeNet5 sees 7 (98.6 %) in seven.png``."""
    answer = activations.answer
    match specimen.task:
        case "segmentation":
            found = pixel_shares(answer)[:_NAMED]
            words = [f"{specimen.classes[index]} ({percentage(share)})" for index, share in found]
            return f"{specimen.name} sees {', '.join(words)} in {image_name}"
        case "reconstruction":
            return f"{specimen.name} reproduces {image_name}"
        case "regression":
            pairs = zip(specimen.told[:_NAMED], answer.tolist(), strict=False)
            words = [f"{name} {short(value)}" for name, value in pairs]
            return f"{specimen.name} says {', '.join(words)} of {image_name}"
    best = int(answer.argmax())
    share = percentage(answer[best].item())
    return f"{specimen.name} sees {specimen.classes[best]} ({share}) in {image_name}"


def lay_answer(
    specimen: Specimen, activations: Activations, width: float, height: float
) -> AnswerPanel:
    """The answer within a width and a height: classes with shares, a mask, an image or numbers."""
    match specimen.task:
        case "segmentation":
            return _mask(specimen, activations.answer, width, height)
        case "reconstruction":
            return _image(specimen, activations, width)
        case "regression":
            return _numbers(specimen, activations.answer, width, height)
    return _classes(specimen, activations.answer, width)


def _classes(specimen: Specimen, answer: Tensor, width: float) -> AnswerPanel:
    found = answer.topk(min(TOP, len(answer)))
    marks: list[Mark] = []
    for place, (share, index) in enumerate(
        zip(found.values.tolist(), found.indices.tolist(), strict=True)
    ):
        top = place * _PITCH
        percent = percentage(share)
        room = width - text_width(percent, HEADING) - 6
        name = shortened(specimen.classes[index], HEADING, room, bold=place == 0)
        marks += [
            Text((0, top + HEADING), name, HEADING, bold=place == 0, anchor="start"),
            Text((width, top + HEADING), percent, HEADING, anchor="end"),
            rectangle(0, top + 13, width, 6, fill="inner-cluster"),
            rectangle(0, top + 13, max(width * share, 0.4), 6, fill=border_of(Family.DENSE.value)),
        ]
    lines = (f"top {len(found.values)} of {len(specimen.classes)}",)
    return AnswerPanel("probabilities", lines, (*marks,))


def _mask(specimen: Specimen, answer: Tensor, width: float, height: float) -> AnswerPanel:
    found = pixel_shares(answer)[:TOP]
    mask = answer.argmax(dim=0)
    room = Area(0, 0, width, height - 6 - _ROW * len(found))
    marks = image_marks(coloured(mask).float() / 255, room)
    top = room.fitting(*mask.shape).height + 6
    for place, (index, share) in enumerate(found):
        y = top + place * _ROW
        red, green, blue = mask_colours()[index].tolist()
        percent = percentage(share)
        name = shortened(
            specimen.classes[index], SMALL, width - 15 - text_width(percent, SMALL), place == 0
        )
        square = rectangle(
            0, y, 8, 8, fill=f"#{red:02x}{green:02x}{blue:02x}", stroke="line", line=0.4
        )
        marks += [
            square,
            Text((12, y + 7), name, SMALL, bold=place == 0, anchor="start"),
            Text((width, y + 7), percent, SMALL, anchor="end"),
        ]
    lines = ("the class of each pixel", "that is most probable")
    return AnswerPanel("mask", lines, (*marks,))


def _image(specimen: Specimen, activations: Activations, width: float) -> AnswerPanel:
    error = (activations.answer - specimen.finished.pixels_of(activations.image)).square().mean()
    marks = image_marks(activations.answer, Area(0, 0, width, width))
    lines = ("of pixels from 0 to 1:", f"mean squared error {short(error.item())}")
    return AnswerPanel("reconstruction", lines, (*marks,))


def _numbers(specimen: Specimen, answer: Tensor, width: float, height: float) -> AnswerPanel:
    most = int(height / _ROW)
    marks: list[Mark] = []
    for place, (name, value) in enumerate(zip(specimen.told, answer.tolist(), strict=True)):
        if place == most:
            break
        y = place * _ROW + SMALL
        text = short(value)
        shown = shortened(name, SMALL, width - 6 - text_width(text, SMALL))
        marks += [
            Text((0, y), shown, SMALL, anchor="start"),
            Text((width, y), text, SMALL, anchor="end"),
        ]
    count = len(specimen.told)
    lines = (f"the first {most} of {count}",) if count > most else ()
    return AnswerPanel("targets", lines, (*marks,))
