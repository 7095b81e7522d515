"""Maps for the fronts of volumes in a drawing: the strongest one of each, for one image."""

from __future__ import annotations

import torch
from torch import Tensor

from archdsl.drawing.canvas.typeface import shortened
from archdsl.drawing.volumes.faces import Face
from archdsl.layers import Family
from archdsl.looking.activations import Activations
from archdsl.looking.answers import percentage
from archdsl.looking.colours import colours_of
from archdsl.looking.panels import colours_of_image, reduced, short
from archdsl.looking.pipeline import furthest, strongest
from archdsl.looking.specimen import Specimen, check_finite
from archdsl.looking.stages import belongs_to, keeps_channels
from archdsl.train.masks import coloured
from archdsl.train.prediction import pixel_shares

#: Rows and columns of a front: a map with more is averaged down to that.
_MOST = 512
#: Units that a bar shows by themselves; of more, one stands for its neighbours.
_UNITS = 64
#: Lines of an answer, and how wide their names may be.
_LINES, _NAME = 3, 60.0
_SIZE = 8.0


class MapFaces:
    """The fronts of the volumes of a network for one image, as `drawing.volumes.faces.Faces`.

    A volume shows its map with the largest activation, in the colours and with the numbers of
    ``archdsl look --channels 1``; what works on each channel by itself, as pooling, the map that it
    reads. A vector is a bar with a colour for each unit, unit 0 on top. The input is the image as
    it is looked at, and so is what an autoencoder returns; a mask has the colours of its classes.
    """

    rule = (
        "fronts show the map with the largest activation,",
        "and bars the units from the top:",
        "blue is below zero, white is zero, red is above,",
        "each on a scale of its own",
    )

    def __init__(self, specimen: Specimen, activations: Activations, image_name: str) -> None:
        self.specimen = specimen
        self.activations = activations
        self.image_name = image_name

    @property
    def answer(self) -> int:
        return self.specimen.answer.id

    @property
    def told(self) -> tuple[str, ...]:
        answer, specimen = self.activations.answer, self.specimen
        match specimen.task:
            case "reconstruction":
                return ()
            case "regression":
                pairs = [(name, short(value)) for name, value in self._named(answer.tolist())]
            case "segmentation":
                shares = pixel_shares(answer)
                pairs = [(specimen.classes[i], percentage(share)) for i, share in shares]
            case _:
                order = torch.sort(answer, descending=True, stable=True)
                pairs = [
                    (specimen.classes[i], percentage(share))
                    for share, i in zip(order.values.tolist(), order.indices.tolist(), strict=True)
                ]
        return tuple(f"{shortened(name, _SIZE, _NAME)} · {text}" for name, text in pairs[:_LINES])

    def _named(self, values: list[float]) -> list[tuple[str, float]]:
        return list(zip(self.specimen.told, values, strict=True))

    def front(self, node: int, group: int = 0, groups: int = 1) -> Face | None:
        """The front of a node's result; None of an auxiliary head, which does not run.

        Errors:
            LookingError: where the result is not finite.
        """
        model = self.specimen.model
        if node == model.inputs[0].id:
            image = self.specimen.finished.pixels_of(self.activations.image)
            return _face(colours_of_image(image), f"{self.image_name}, as the network sees it")
        if self.specimen.is_answer(node) and (told := self._answer()) is not None:
            return told
        values = self.activations.values.get(node)
        if values is None:
            return None
        volume = model.nodes[node].volume
        check_finite(values, f"the result of `{model.names[node]}`")
        values = values.float()
        if volume.positions == 1:
            return _strip(values.flatten())
        if volume.rank == 1:
            return _map(values.T, f"{volume.channels} channels, positions from top to bottom")
        if volume.rank != 2:
            return None
        channel = self._channel(node, group, groups)
        return _map(values[channel], f"channel {channel}")

    def _answer(self) -> Face | None:
        """The answer as an image, where it is one."""
        answer = self.activations.answer
        match self.specimen.task:
            case "segmentation":
                colours = coloured(answer.argmax(dim=0)).permute(1, 2, 0)
                return _face(colours, "the most probable class of each pixel")
            case "reconstruction":
                return _face(colours_of_image(answer), "what the network returns")
        return None

    def _channel(self, node: int, group: int, groups: int) -> int:
        """The channel that is shown of a group of a node's result, or passed on to it."""
        model = self.specimen.model
        at = model.nodes[node]
        # An activation keeps the order, but may make the largest ones equal, as tanh does.
        while keeps_channels(model, at) and (
            at.layer.family is Family.ACTIVATION or not belongs_to(model, at)
        ):
            before = model.nodes[at.inputs[0]]
            if before.id == model.inputs[0].id or not before.volume.is_image:
                break
            at = before
        values = self.activations.values[at.id].float()
        each = len(values) // groups
        first = group * each
        return first + strongest(values[first : first + each], 1)[0]


def _map(values: Tensor, said: str) -> Face:
    """A map, H×W, in the colours of its numbers; those furthest from zero are the strongest."""
    low, high = values.min().item(), values.max().item()
    shown = reduced(values, _MOST, _MOST)
    return _face(colours_of(shown, max(-low, high)), f"{said}: from {short(low)} to {short(high)}")


def _strip(values: Tensor) -> Face:
    """The units of a vector below each other."""
    each = -(-len(values) // _UNITS)
    cells = torch.tensor([furthest(part) for part in torch.split(values, each)])
    said = f"{len(values)} units" + (f", the largest of {each} each" if each > 1 else "")
    return _map(cells[:, None], said)


def _face(colours: Tensor, said: str) -> Face:
    rows, columns, _ = colours.shape
    return Face(columns, rows, colours.contiguous().numpy().tobytes(), said)
