"""The task: classification with the recipe's loss and optimizer, as a Lightning module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler
from torchmetrics.classification import MulticlassAccuracy

from archdsl.recipe import optimizers, schedules
from archdsl.recipe.losses import CrossEntropy
from archdsl.recipe.recipe import Recipe
from archdsl.train.faults import TrainFault
from archdsl.train.loading import mix

TOP = 5


class Classification(pl.LightningModule):
    """Trains a network to tell classes apart.

    ``network`` maps images (N × C × H × W) to a number per class, or in training to those and the
    auxiliary heads'. ``gives_probabilities`` where it ends in a softmax: the loss then takes the
    logarithm of what it gives, never a second softmax.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        classes: int,
        *,
        gives_probabilities: bool = False,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.classes = classes
        self.gives_probabilities = gives_probabilities
        self.channels_last = channels_last
        self.seed = seed
        self.sums, self.seen = torch.zeros(2), 0
        self.top1 = MulticlassAccuracy(classes, average="micro")
        self.top5 = MulticlassAccuracy(classes, average="micro", top_k=min(TOP, classes))

    def forward(self, x: Tensor) -> Any:
        if self.channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.network(x)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """The recipe's loss of one output, in single precision."""
        output = output.float()
        loss = self.recipe.loss
        if isinstance(loss, CrossEntropy):
            if self.gives_probabilities:
                output = output.clamp_min(torch.finfo(output.dtype).tiny).log()
            return functional.cross_entropy(output, labels, label_smoothing=loss.smoothing)
        return functional.mse_loss(output, functional.one_hot(labels, self.classes).to(output))

    def _losses(self, output: Any, labels: Tensor) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Weight, loss and output of the trunk and of each auxiliary head."""
        if isinstance(output, Tensor):
            yield 1.0, self.loss(output, labels), output
            return
        trunk, *heads = output
        yield 1.0, self.loss(trunk, labels), trunk
        weights: tuple[float, ...] = self.network.aux_weights  # type: ignore[assignment]
        for weight, head in zip(weights, heads, strict=True):
            yield weight, self.loss(head, labels), head

    def on_train_epoch_start(self) -> None:
        # An epoch hangs on its number alone: one that is run again after a crash is the same.
        number = self.current_epoch * self.trainer.world_size + self.global_rank
        torch.manual_seed(mix(self.seed, number))
        self.sums, self.seen = torch.zeros(2, device=self.device), 0

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        losses = list(self._losses(self(images), labels))
        total = torch.stack([weight * loss for weight, loss, _ in losses]).sum()
        if not torch.isfinite(total):
            raise NotFinite(self.current_epoch, index)
        hits = (losses[0][2].argmax(dim=1) == labels).sum()
        self.seen += len(labels)
        self.sums += torch.stack((total.detach() * len(labels), hits))
        # Summed here and logged once: to log each step costs a small network a tenth of its time.
        if self.trainer.is_last_batch:
            for name, value in self.running().items():
                self.log(f"train_{name}", value, on_step=False, on_epoch=True, batch_size=1)
        return total

    def running(self) -> dict[str, Tensor]:
        """Loss and top-1 over the images of this epoch so far."""
        loss, top1 = self.sums / max(self.seen, 1)
        return {"loss": loss, "top1": top1}

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        output = self(images)
        self.top1.update(output, labels)
        self.top5.update(output, labels)
        loss = self.loss(output, labels)
        self.log("val_loss", loss, batch_size=len(labels), sync_dist=True)
        self.log("val_top1", self.top1, on_epoch=True)
        self.log("val_top5", self.top5, on_epoch=True)

    # ── Optimizer and schedule ───────────────────────────────────────────────────────────────

    def configure_optimizers(self) -> Any:
        optimizer = _optimizer(self.recipe.optimizer, self.network)
        plateau = [s for s in self.recipe.schedule if isinstance(s, schedules.Plateau)]
        if plateau:
            scheduler: Any = lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=plateau[0].factor, patience=plateau[0].patience
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"},
            }
        if not self.recipe.schedule:
            return optimizer
        scheduler = lr_scheduler.LambdaLR(optimizer, _rate(self.recipe))
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class NotFinite(TrainFault):
    """The loss became infinite or no number."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss is no finite number in epoch {epoch + 1}, step {step + 1}")


def _optimizer(page: optimizers.Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    match page:
        case optimizers.SGD():
            return torch.optim.SGD(
                parameters,
                lr=page.lr,
                momentum=page.momentum,
                weight_decay=page.weight_decay,
                nesterov=page.nesterov,
            )
        case optimizers.AdamW():
            return torch.optim.AdamW(
                parameters, lr=page.lr, weight_decay=page.weight_decay, eps=page.eps
            )
        case optimizers.Adam():
            return torch.optim.Adam(
                parameters, lr=page.lr, weight_decay=page.weight_decay, eps=page.eps
            )
        case optimizers.RMSprop():
            return torch.optim.RMSprop(
                parameters,
                lr=page.lr,
                momentum=page.momentum,
                weight_decay=page.weight_decay,
                alpha=page.alpha,
                eps=page.eps,
            )
    raise AssertionError(page)


def _rate(recipe: Recipe) -> Callable[[int], float]:
    """The factor of the learning rate in each epoch: the product of the recipe's schedules.

    A plain function, since a checkpoint holds the state of anything else.
    """

    def factor(epoch: int) -> float:
        return prod(page.factor_at(epoch, recipe.epochs) for page in recipe.schedule)

    return factor
