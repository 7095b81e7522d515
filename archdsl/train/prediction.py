"""Prediction: what a trained network says of a file."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from archdsl.train.data.preparation import cut_centre
from archdsl.train.finished import Finished
from archdsl.train.masks import overlaid, render_mask


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of an image, in the terms of its task.

    ``numbers`` are, by name, the probabilities of the most probable classes; the shares of pixels
    of all classes that a mask has; the targets; or of an autoencoder the mean squared error of
    pixels from 0 to 1 (``mse``). They begin with the largest, or are in the order of the targets.
    ``answer`` is what they are read from, without the axis of the batch. ``pixels``, uint8 C×H×W,
    are the image as it reaches the network, but for the normalization. ``remark`` says in what it
    is unlike the images that the network was trained with.
    """

    path: Path
    numbers: tuple[tuple[str, float], ...]
    answer: Tensor
    pixels: Tensor
    remark: str | None


def predict_file(finished: Finished, path: Path, top: int, *, invert: bool = False) -> Prediction:
    """What a network says of a file; of classes, the ``top`` most probable ones.

    Errors:
        TrainError: naming the file, where it cannot be read or decoded.
    """
    pixels = finished.pixels(path, invert=invert)
    image = finished.normalize(pixels)
    answer = finished.answers(image[None])[0]
    appearance, data = finished.appearance, finished.facts["data"]["name"]
    remark = appearance.remark(pixels, data, inverted=invert) if appearance else None
    return Prediction(path, _numbers(finished, answer, pixels, top), answer, pixels, remark)


def _numbers(
    finished: Finished, answer: Tensor, pixels: Tensor, top: int
) -> tuple[tuple[str, float], ...]:
    match finished.task:
        case "regression":
            return tuple(zip(finished.targets, answer.tolist(), strict=True))
        case "reconstruction":
            return (("mse", float((answer - pixels / 255).double().square().mean())),)
        case "segmentation":
            return tuple((finished.classes[i], share) for i, share in pixel_shares(answer))
    found = answer.topk(min(top, len(answer)))
    return tuple(
        (finished.classes[index], share)
        for share, index in zip(found.values.tolist(), found.indices.tolist(), strict=True)
    )


def pixel_shares(answer: Tensor) -> list[tuple[int, float]]:
    """The classes that pixels are told to be of, K×h×w, with their shares; the largest first."""
    mask = answer.argmax(dim=0)
    counts = torch.bincount(mask.flatten(), minlength=len(answer))
    order = torch.sort(counts, descending=True, stable=True).indices.tolist()
    return [(index, int(counts[index]) / mask.numel()) for index in order if counts[index]]


def render_pixels(pixels: Tensor) -> bytes:
    """Pixels, uint8 C×H×W with 1 or 3 channels, as PNG."""
    image = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
    out = BytesIO()
    Image.fromarray(image.contiguous().numpy()).save(out, "PNG")
    return out.getvalue()


def render_answer(finished: Finished, prediction: Prediction, *, is_overlay: bool = False) -> bytes:
    """The mask of an image, or what an autoencoder makes of it, as PNG of the network's size.

    A mask has the numbers of the classes, with a palette; as an overlay, it is colours on the
    image, and where the network returns fewer pixels, on its centre.
    """
    answer = prediction.answer
    if finished.task == "reconstruction":
        return render_pixels((answer.clamp(0, 1) * 255).round().to(torch.uint8))
    mask = answer.argmax(dim=0)
    if not is_overlay:
        return render_mask(mask)
    centre = cut_centre(prediction.pixels, (mask.shape[0], mask.shape[1]))
    return render_pixels(overlaid(centre / 255, mask))
