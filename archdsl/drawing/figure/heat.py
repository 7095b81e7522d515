"""Boxes coloured by a number: the measure, its scale from light to dark, and the scale's bar.

The colours are cividis (Nuñez, Anderton and Renslow 2018, "Optimizing colormaps with consideration
for color vision deficiency to enable accurate interpretation of scientific data", PLoS ONE 13(7)),
at 17 places of the scale, with the dark end for the largest number, which weighs most on a white
page; they look alike with and without colour blindness, and as greys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log

from archdsl.drawing.canvas.marks import Mark, Text, rectangle
from archdsl.drawing.canvas.palette import channels_of, mixed
from archdsl.drawing.options import ColorBy
from archdsl.layers.volume import Volume
from archdsl.model import BYTES_PER_NUMBER, Model

CIVIDIS = (
    "#00224e",
    "#002e6a",
    "#1a386f",
    "#32436d",
    "#434e6c",
    "#535a6d",
    "#61656f",
    "#6f7073",
    "#7d7c78",
    "#8c8878",
    "#9b9476",
    "#aba072",
    "#bcae6c",
    "#cdbb63",
    "#dec958",
    "#f0d846",
    "#fee838",
)
BAR_WIDTH, BAR_HEIGHT = 150.0, 30.0


@dataclass(frozen=True, slots=True)
class Heat:
    """The number of a box: exact as in the report, short for the box."""

    value: float
    exact: str
    short: str


@dataclass(frozen=True, slots=True)
class Measure:
    """What the colours show; ``value`` is the number of some nodes together.

    ``adds`` says whether it is the sum of theirs. Of any other, copies all have numbers of their
    own, and the picture shows the largest.
    """

    title: str
    value: Callable[[Model, Sequence[int]], float]
    exact: Callable[[float], str]
    short: Callable[[float], str]
    is_log: bool = True
    adds: bool = True

    def heat(self, model: Model, nodes: Sequence[int]) -> Heat:
        value = self.value(model, nodes)
        return Heat(value, self.exact(value), self.short(value))


def short_number(number: float) -> str:
    """``3.21M``: three digits and a unit."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


MEASURES: dict[ColorBy, Measure] = {
    "params": Measure(
        "parameters",
        lambda model, nodes: sum(model.costs[node].parameters for node in nodes),
        lambda value: f"{int(value):,} parameters",
        short_number,
    ),
    "macs": Measure(
        "MACs for one image",
        lambda model, nodes: sum(model.costs[node].macs for node in nodes),
        lambda value: f"{int(value):,} MACs",
        short_number,
    ),
    "memory": Measure(
        "results of one image in MB",
        lambda model, nodes: (
            sum(model.costs[node].activations for node in nodes) * BYTES_PER_NUMBER / 1e6
        ),
        lambda value: f"{value:,.3f} MB of results",
        lambda value: f"{value:.3g} MB",
    ),
    "receptive-field": Measure(
        "receptive field in pixels of the input",
        lambda model, nodes: max(max(model.receptive_fields[node]) for node in nodes),
        lambda value: f"receptive field {int(value):,}",
        lambda value: f"sees {int(value):,}",
        is_log=False,
        adds=False,
    ),
}


@dataclass(frozen=True, slots=True)
class HeatScale:
    """The colours between the smallest number that is not 0, and the largest."""

    measure: Measure
    low: float
    high: float

    def paints(self, value: float) -> tuple[str, str]:
        """Fill and ink; those of the page if there is nothing to colour."""
        if value <= 0:
            return "page", "ink"
        fill = self.colour(self.share(value))
        return fill, ink_on(fill)

    def share(self, value: float) -> float:
        """Where a number lies between the smallest (0) and the largest (1)."""
        if self.high <= self.low:
            return 1.0
        if self.measure.is_log:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    @staticmethod
    def colour(share: float) -> str:
        """The colour at a place of the scale, from 0 to 1."""
        at = (1.0 - min(max(share, 0.0), 1.0)) * (len(CIVIDIS) - 1)
        number = min(int(at), len(CIVIDIS) - 2)
        return mixed(CIVIDIS[number], CIVIDIS[number + 1], at - number)

    def bar(self, size: float) -> list[Mark]:
        """The scale with its title and ends, ``BAR_WIDTH`` × ``BAR_HEIGHT`` from (0, 0)."""
        steps = 50
        step = BAR_WIDTH / steps
        marks: list[Mark] = [
            rectangle(n * step, 11.0, step + 0.2, 8.0, fill=self.colour((n + 0.5) / steps))
            for n in range(steps)
        ]
        kind = ", log scale" if self.measure.is_log else ""
        ends = (self.measure.short(self.low), self.measure.short(self.high))
        return [
            Text((0.0, 7.5), f"{self.measure.title}{kind}", size, anchor="start"),
            *marks,
            Text((0.0, 28.5), ends[0], size, "muted", anchor="start"),
            Text((BAR_WIDTH, 28.5), ends[1], size, "muted", anchor="end"),
        ]


def scale_of(measure: Measure, heats: Sequence[Heat], input: Volume) -> HeatScale:
    """The scale over the numbers of a picture of a network with this input."""
    if input.noun == "sample":
        title = measure.title.replace("image", "sample").replace("pixels", "positions")
        measure = replace(measure, title=title)
    values = [heat.value for heat in heats if heat.value > 0] or [1.0]
    return HeatScale(measure, min(values), max(values))


def ink_on(fill: str) -> str:
    """Black or white, whichever contrasts more with a colour: at least 4.5 : 1 on any."""
    return "#000000" if contrast(fill, "#000000") >= contrast(fill, "#ffffff") else "#ffffff"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21, as WCAG 2.1 defines it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, from 0 to 1, as WCAG 2.1 defines it."""
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in channels_of(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
