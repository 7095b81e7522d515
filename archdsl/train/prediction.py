"""Prediction: what a trained network sees in a file."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from torch import Tensor

from archdsl.train.finished import Finished


@dataclass(frozen=True, eq=False)
class Prediction:
    """The most probable classes of an image with their probabilities, from the first on.

    ``pixels``, uint8 C×H×W, are the image as it reaches the network, but for the normalization.
    ``remark`` says in what it is unlike the images that the network was trained with.
    """

    path: Path
    classes: tuple[tuple[str, float], ...]
    pixels: Tensor
    remark: str | None


def predict_file(finished: Finished, path: Path, top: int, *, invert: bool = False) -> Prediction:
    """What a network sees in a file: its ``top`` most probable classes.

    Errors:
        TrainError: naming the file, where it cannot be read or decoded.
    """
    pixels = finished.pixels(path, invert=invert)
    scores = finished.probabilities(finished.normalize(pixels)[None])[0]
    found = scores.topk(min(top, len(finished.classes)))
    classes = tuple(
        (finished.classes[index], share)
        for share, index in zip(found.values.tolist(), found.indices.tolist(), strict=True)
    )
    appearance, data = finished.appearance, finished.facts["data"]["name"]
    remark = appearance.remark(pixels, data, inverted=invert) if appearance else None
    return Prediction(path, classes, pixels, remark)


def render_pixels(pixels: Tensor) -> bytes:
    """Pixels, uint8 C×H×W with 1 or 3 channels, as PNG."""
    image = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
    out = BytesIO()
    Image.fromarray(image.contiguous().numpy()).save(out, "PNG")
    return out.getvalue()
