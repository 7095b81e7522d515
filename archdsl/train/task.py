"""The task: classification, with the recipe's loss, optimizer and schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from archdsl.layers.activation import Softmax
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.recipe import optimizers, schedules
from archdsl.recipe.losses import CrossEntropy, Loss
from archdsl.recipe.recipe import Recipe
from archdsl.train.logs import Row

#: What a network may be trained for: a class of the image, one of each pixel, the image itself
#: again, or numbers.
TaskKind = Literal["classification", "segmentation", "reconstruction", "regression"]

TOP = 5


@dataclass(frozen=True)
class Objective:
    """An output with a name that has a loss: its place among the outputs, and how it ends."""

    index: int
    loss: Loss
    gives_probabilities: bool = False


def trained_outputs(model: Model, recipe: Recipe) -> dict[str, Node]:
    """The outputs that have a loss, by name, in the network's order."""
    return {o.name: model.nodes[o.node] for o in model.results if recipe.loss_of(o.name)}


def classified_output(model: Model, recipe: Recipe) -> Node:
    """The output that says the class: the first that has a loss."""
    return next(iter(trained_outputs(model, recipe).values()))


def objectives_of(model: Model, recipe: Recipe) -> tuple[Objective, ...]:
    """The outputs with names that have a loss."""
    objectives = []
    for index, output in enumerate(model.outputs):
        loss = recipe.loss_of(output.name)
        if loss is not None:
            ends_in_softmax = isinstance(model.nodes[output.node].layer, Softmax)
            objectives.append(Objective(index, loss, ends_in_softmax))
    return tuple(objectives)


class Classification:
    """The loss of a network that distinguishes classes.

    Such a network maps images (N × C × H × W) to a number per class, or in training to those and
    the auxiliary heads', which count with ``aux_weights``. ``gives_probabilities`` says that it
    ends in a softmax: the loss then takes the logarithm of its output, never a second softmax.

    Where its outputs have names, ``objectives`` are those with a loss; the first of them says the
    class.
    """

    name = "classification"
    #: In the rows of epochs: what is counted while training.
    trained = "train_top1"

    def __init__(
        self,
        recipe: Recipe,
        classes: int,
        *,
        gives_probabilities: bool = False,
        aux_weights: Sequence[float] = (),
        objectives: Sequence[Objective] = (),
    ) -> None:
        self.recipe = recipe
        self.classes = classes
        self.aux_weights = aux_weights
        self.objectives = objectives
        #: What a network without named outputs is trained for, and its heads as well.
        self.trunk = Objective(0, recipe.loss, gives_probabilities)

    def loss(self, output: Tensor, labels: Tensor, objective: Objective | None = None) -> Tensor:
        """The loss of one output, in single precision.

        ``labels`` are indices of classes (N), or shares of classes (N × classes).
        """
        output = output.float()
        objective = objective or self.trunk
        loss = objective.loss
        if isinstance(loss, CrossEntropy):
            if objective.gives_probabilities:
                output = output.clamp_min(torch.finfo(output.dtype).tiny).log()
            return functional.cross_entropy(output, labels, label_smoothing=loss.smoothing)
        if labels.ndim == 1:
            labels = functional.one_hot(labels, self.classes)
        return functional.mse_loss(output, labels.to(output))

    def losses(self, output: Any, labels: Tensor) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Weight, loss and output of the trunk and of each auxiliary head, or of each objective."""
        if self.objectives:
            for objective in self.objectives:
                named = output[objective.index]
                yield objective.loss.weight or 1.0, self.loss(named, labels, objective), named
            return
        if isinstance(output, Tensor):
            yield 1.0, self.loss(output, labels), output
            return
        trunk, *heads = output
        yield 1.0, self.loss(trunk, labels), trunk
        for weight, head in zip(self.aux_weights, heads, strict=True):
            yield weight, self.loss(head, labels), head

    def targets(self, images: Tensor, labels: Tensor) -> Tensor:
        """What the output is compared with."""
        return labels

    def rows(self, sums: list[float], images: float) -> Row:
        """What the sums of ``score`` say of a validation, by the names in the rows of epochs."""
        loss, top1, top5 = sums
        return {"val_loss": loss / images, "val_top1": top1 / images, "val_top5": top5 / images}

    def no_score(self) -> Tensor:
        """The score of no image."""
        return torch.zeros(3)

    def measure(self, output: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss of all outputs, and how often the trunk is right."""
        total, first = self._total(output, labels)
        true = labels if labels.ndim == 1 else labels.argmax(dim=1)
        return total, (first.argmax(dim=1) == true).sum()

    def score(self, output: Any, labels: Tensor) -> Tensor:
        """Over the images: the sum of the loss; how often the class is first, and among five."""
        total, first = self._total(output, labels)
        ranked = first.topk(min(TOP, self.classes), dim=1).indices == labels[:, None]
        return torch.stack([total * len(labels), ranked[:, 0].sum(), ranked.sum()])

    def _total(self, output: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss of all outputs, and the output that says the class."""
        (weight, total, first), *others = self.losses(output, labels)
        total = total if weight == 1 else weight * total
        for weight, loss, _ in others:
            total = total + weight * loss
        return total, first


# ── Optimizer and schedule ───────────────────────────────────────────────────────────────────


def make_optimizer(definition: optimizers.Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """PyTorch's optimizer of a recipe's option."""
    parameters = list(_groups(definition, network))
    match definition:
        case optimizers.SGD():
            return torch.optim.SGD(
                parameters,
                lr=definition.lr,
                momentum=definition.momentum,
                weight_decay=definition.weight_decay,
                nesterov=definition.nesterov,
            )
        case optimizers.AdamW():
            return torch.optim.AdamW(
                parameters,
                lr=definition.lr,
                weight_decay=definition.weight_decay,
                eps=definition.eps,
            )
        case optimizers.Adam():
            return torch.optim.Adam(
                parameters,
                lr=definition.lr,
                weight_decay=definition.weight_decay,
                eps=definition.eps,
            )
        case optimizers.RMSprop():
            return torch.optim.RMSprop(
                parameters,
                lr=definition.lr,
                momentum=definition.momentum,
                weight_decay=definition.weight_decay,
                alpha=definition.alpha,
                eps=definition.eps,
            )
    raise AssertionError(definition)


#: The modules whose weights and biases are those of a normalization.
_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)


def _groups(definition: optimizers.Optimizer, network: nn.Module) -> Iterator[dict[str, Any]]:
    """The parameters by their weight decay, as torchvision's reference groups them.

    The bias of a normalization counts as a bias where biases have a decay of their own.
    """
    decays = {
        "bias": definition.bias_weight_decay,
        "norm": definition.norm_weight_decay,
        "other": None,
    }
    groups: dict[str, list[nn.Parameter]] = {kind: [] for kind in decays}
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias" and definition.bias_weight_decay is not None:
                kind = "bias"
            elif isinstance(module, _NORMS) and definition.norm_weight_decay is not None:
                kind = "norm"
            else:
                kind = "other"
            groups[kind].append(parameter)
    for kind, parameters in groups.items():
        if parameters:
            own = decays[kind]
            decay = definition.weight_decay if own is None else own
            yield {"params": parameters, "weight_decay": decay}


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore the state of an optimizer; rates and other settings stay those of the recipe."""
    settings = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def set_rate(
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    epoch: int,
    step: int,
    steps: int,
    history: Sequence[Row],
) -> None:
    """Give the optimizer the learning rate of a step (from 0) of an epoch (from 0) of ``steps``.

    It follows from these and the epochs of the history alone: a resumed run has the rate of one
    that was not stopped. A schedule may change the momentum, too.
    """
    rate = rate_at(recipe, epoch, history)
    momentum = None
    for definition in recipe.schedule:
        place = epoch * steps + step, recipe.epochs * steps
        rate *= definition.factor_at_step(*place)
        momentum = definition.momentum_at_step(*place)
    for group in optimizer.param_groups:
        group["lr"] = rate
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum


def rate_at(recipe: Recipe, epoch: int, history: Sequence[Row]) -> float:
    """The learning rate of an epoch, without what changes from step to step."""
    factor = prod(definition.factor_at(epoch, recipe.epochs) for definition in recipe.schedule)
    rate = recipe.optimizer.lr * factor
    for definition in recipe.schedule:
        if isinstance(definition, schedules.Plateau):
            rate = _rate_on_plateau(definition, rate, history)
    return rate


def _rate_on_plateau(definition: schedules.Plateau, rate: float, history: Sequence[Row]) -> float:
    """What PyTorch's schedule makes of a rate, given the losses of the history."""
    optimizer = torch.optim.SGD([torch.zeros(())], lr=rate)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=definition.factor, patience=definition.patience
    )
    for row in history:
        scheduler.step(row["val_loss"])
    found: float = optimizer.param_groups[0]["lr"]
    return found
