"""Tasks of networks whose output is no class: classes of pixels, the image again, or numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from archdsl.recipe.losses import CrossEntropy
from archdsl.recipe.recipe import Recipe
from archdsl.train.data.preparation import VOID, cut_centre
from archdsl.train.logs import Row


class Segmentation:
    """The loss of a network that tells the class of each pixel: N×C×H×W to N×K×h×w.

    Where the network returns fewer pixels than it gets, they are those of the centre. Pixels of the
    class 255 count nowhere.
    """

    name = "segmentation"
    trained = "train_accuracy"

    def __init__(
        self, recipe: Recipe, classes: int, size: tuple[int, int], *, gives_probabilities: bool
    ) -> None:
        assert isinstance(recipe.loss, CrossEntropy)
        self.smoothing = recipe.loss.smoothing
        self.classes = classes
        self.size = size
        self.gives_probabilities = gives_probabilities

    def targets(self, images: Tensor, labels: Tensor) -> Tensor:
        """The classes of the pixels, N×h×w."""
        return cut_centre(labels, self.size).long()

    def measure(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of a pixel, and the share of pixels that are right, times the images."""
        output = output.float()
        right = (output.argmax(dim=1) == labels).sum()
        share = right / (labels != VOID).sum().clamp_min(1)
        return self._loss(output, labels), share * len(labels)

    def score(self, output: Tensor, labels: Tensor) -> Tensor:
        """The sum of the loss over the images; then the confusion matrix of the pixels."""
        counted = labels != VOID
        pairs = labels[counted] * self.classes + output.argmax(dim=1)[counted]
        confusion = torch.bincount(pairs, minlength=self.classes**2)
        loss = self._loss(output, labels) * len(labels)
        # Not every device has double precision, in which counts of pixels stay exact.
        return torch.cat([loss.cpu().double()[None], confusion.cpu().double()])

    def rows(self, sums: list[float], images: float) -> Row:
        """The loss of an image, the share of pixels that are right, and the mIoU.

        The intersection over union of a class is that of all images together; the mean is over the
        classes that occur, in the data or in the predictions.
        """
        loss, *counts = sums
        confusion = torch.tensor(counts, dtype=torch.float64).reshape(self.classes, -1)
        right = confusion.diagonal().sum()
        return {
            "val_loss": loss / images,
            "val_accuracy": float(right / confusion.sum().clamp_min(1)),
            "val_miou": float(overlaps(confusion).nanmean()) if confusion.any() else 0.0,
        }

    def no_score(self) -> Tensor:
        return torch.zeros(1 + self.classes**2)

    def _loss(self, output: Tensor, labels: Tensor) -> Tensor:
        if self.gives_probabilities:
            output = output.clamp_min(torch.finfo(output.dtype).tiny).log()
        if not (labels != VOID).any():
            return output.sum() * 0
        # In rows: of images, it is not deterministic on a GPU.
        rows = output.movedim(1, -1).flatten(0, -2)
        return functional.cross_entropy(
            rows, labels.flatten(), ignore_index=VOID, label_smoothing=self.smoothing
        )


def overlaps(confusion: Tensor) -> Tensor:
    """The intersection over union of each class, float64; NaN of one that does not occur."""
    right = confusion.diagonal().double()
    return right / (confusion.sum(dim=0) + confusion.sum(dim=1) - right)


class Reconstruction:
    """The loss of a network that is to return its input: the mean squared error.

    Of a network that ends in a sigmoid, that is the image with pixels from 0 to 1, which
    ``denormalize`` makes of what the network gets; of all others, the image as they get it.
    """

    name = "reconstruction"
    trained = None
    #: There are no labels.
    classes = 0

    def __init__(self, denormalize: Callable[[Tensor], Tensor] | None) -> None:
        self.denormalize = denormalize

    def targets(self, images: Tensor, labels: Tensor) -> Tensor:
        return images if self.denormalize is None else self.denormalize(images)

    def measure(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared error; nothing is right or wrong."""
        loss = functional.mse_loss(output.float(), labels.float())
        return loss, torch.zeros((), device=loss.device)

    def score(self, output: Tensor, labels: Tensor) -> Tensor:
        return (self.measure(output, labels)[0] * len(labels))[None]

    def rows(self, sums: list[float], images: float) -> Row:
        return {"val_loss": sums[0] / images}

    def no_score(self) -> Tensor:
        return torch.zeros(1)


class Regression:
    """The loss of a network that tells numbers, N×K: the mean squared error."""

    name = "regression"
    trained = None

    def __init__(self, targets: int) -> None:
        #: How many numbers it tells.
        self.classes = targets

    def targets(self, images: Tensor, labels: Tensor) -> Tensor:
        return labels

    def measure(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared error; nothing is right or wrong."""
        loss = functional.mse_loss(output.float(), labels)
        return loss, torch.zeros((), device=loss.device)

    def score(self, output: Tensor, labels: Tensor) -> Tensor:
        """Over the images: the sums of the mean squared and of the mean absolute error."""
        errors = output.float() - labels
        return torch.stack([errors.square().mean(dim=1).sum(), errors.abs().mean(dim=1).sum()])

    def rows(self, sums: list[float], images: float) -> Row:
        return {"val_loss": sums[0] / images, "val_mae": sums[1] / images}

    def no_score(self) -> Tensor:
        return torch.zeros(2)
