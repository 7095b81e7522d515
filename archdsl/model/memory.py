"""Memory that training takes: weights, gradients, the optimizer's state, what backward needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from archdsl.layers.activation import Softmax
from archdsl.layers.layer import Autocast, Saved
from archdsl.layers.volume import Volume
from archdsl.model.model import BYTES_PER_NUMBER, Model
from archdsl.network.parts import AuxPart, walk
from archdsl.recipe import Recipe
from archdsl.recipe.losses import Loss
from archdsl.records import dataclass
from archdsl.text.diagnostics import Diagnostic

#: ``bf16`` and ``16`` are mixed: weights stay in 4 bytes, and have a copy in 2.
Precision: TypeAlias = Literal["32", "bf16", "16"]
_LOW_BYTES = {"32": BYTES_PER_NUMBER, "bf16": 2, "16": 2}
LABEL_BYTES = 8
_SCALAR = Volume.vector(1)


@dataclass(frozen=True, slots=True)
class Memory:
    """What training takes on one device, in bytes.

    ``activations_per_image`` is what autograd keeps of an image from the forward to the backward
    pass, the image and its label included; ``activations_per_batch`` what it keeps besides, however
    many images there are (the statistics of batch normalization). ``weights`` includes the copy in
    low precision, and their average where the recipe has one. Not counted: what a single operation
    needs while it runs.
    """

    batch: int
    precision: Precision
    weights: int
    gradients: int
    optimizer: int
    activations_per_image: int
    activations_per_batch: int

    @property
    def fixed(self) -> int:
        """What does not depend on the size of the batch."""
        return self.weights + self.gradients + self.optimizer + self.activations_per_batch

    @property
    def activations(self) -> int:
        """What autograd keeps of the batch."""
        return self.batch * self.activations_per_image + self.activations_per_batch

    @property
    def total(self) -> int:
        return self.total_of(self.batch)

    def total_of(self, batch: int) -> int:
        """The total with another batch."""
        return self.fixed + batch * self.activations_per_image

    def largest_batch(self, memory: int) -> int:
        """The largest batch that fits into ``memory`` bytes; 0 if not even one image does."""
        return max(0, (memory - self.fixed) // self.activations_per_image)


def estimate_memory(
    model: Model, *, batch: int, recipe: Recipe | None = None, precision: Precision = "32"
) -> Memory:
    """What training a network takes, auxiliary heads included.

    The recipe is the model's unless one is given; where there is none, the default one. Mixed
    precision is counted as ``torch.autocast`` does it on a GPU. The batch is that of one device.
    """
    recipe = recipe or model.recipe or Recipe()
    parameters = model.trunk.parameters + model.heads.parameters
    full = BYTES_PER_NUMBER * parameters
    copies = 0 if precision == "32" else _LOW_BYTES[precision] * _lowered_parameters(model)
    ledger = _Ledger(_LOW_BYTES[precision])
    _run_forward(model, recipe, ledger)
    return Memory(
        batch,
        precision,
        weights=full * (2 if recipe.average else 1) + copies,
        gradients=full,
        optimizer=recipe.optimizer.count_state() * full,
        activations_per_image=ledger.per_image,
        activations_per_batch=ledger.per_batch,
    )


def verify_memory(model: Model, memory: Memory, limit: int) -> Diagnostic | None:
    """The error if a batch takes more than ``limit`` bytes."""
    if memory.total <= limit:
        return None
    largest = memory.largest_batch(limit)
    return Diagnostic(
        "memory-exceeded",
        f"{model.name}: training with a batch of {memory.batch:,} takes "
        f"{render_bytes(memory.total)}; only {render_bytes(limit)} are available",
        model.span,
        "this network",
        help=f"a batch of {largest:,} fits" if largest else f"not even one {model.input.noun} fits",
    )


def render_bytes(number: int) -> str:
    """``1.234 GB``, or below a gigabyte ``0.056 MB``."""
    if number >= 10**9:
        return f"{number / 1e9:,.3f} GB"
    return f"{number / 1e6:,.3f} MB"


def _lowered_parameters(model: Model) -> int:
    """Parameters of which mixed precision makes a copy."""
    lowered = (node for node in model.layers if node.layer.autocast is Autocast.LOWERS)
    return sum(model.costs[node.id].parameters for node in lowered)


def _run_forward(model: Model, recipe: Recipe, ledger: _Ledger) -> None:
    """Enter what each layer keeps, then the losses."""
    results = {node.id: ledger.hold(node.volume) for node in model.inputs}
    for end in {output: None for output, _ in _losses(model, recipe) if output in model.ends}:
        ledger.label(model.nodes[end].volume)
    for node in model.layers:
        inputs = [results[i] for i in node.inputs]
        saved = node.layer.saves(tuple(x.volume for x in inputs), node.volume)
        is_trained = model.costs[node.module].parameters > 0 or any(x.is_trained for x in inputs)
        results[node.id] = ledger.enter(
            saved, inputs, node.volume, node.layer.autocast, is_trained=is_trained
        )
    first, *_ = model.ends
    for output, loss in _losses(model, recipe):
        result = results[output]
        # What the trunk ends in is said of its heads as well.
        own = output if model.outputs else first
        is_probability = isinstance(model.nodes[own].layer, Softmax)
        saved = loss.saves(result.volume, is_probability=is_probability)
        ledger.enter(saved, [result], _SCALAR, Autocast.RAISES, is_trained=result.is_trained)


def _losses(model: Model, recipe: Recipe) -> Iterator[tuple[int, Loss]]:
    """The nodes that have a loss: outputs of the trunk and of each auxiliary head."""
    for output in model.results:
        loss = recipe.loss_of(output.name)
        if loss is not None:
            yield output.node, loss
    for part in walk(model.chain):
        if isinstance(part, AuxPart):
            yield part.body.output, recipe.loss


@dataclass(frozen=True, slots=True)
class _Result:
    """A tensor: where its numbers are, how wide they are, whether gradients flow through it."""

    volume: Volume
    home: int
    width: int
    is_trained: bool


class _Ledger:
    """What is kept, each piece of memory once: layers keep by reference."""

    def __init__(self, low: int) -> None:
        self._low = low
        #: Bytes of the tensors for each image, and which of them are kept.
        self._sizes: list[int] = []
        self._kept: set[int] = set()
        self._extra = 0
        self.per_batch = 0

    @property
    def per_image(self) -> int:
        return self._extra + sum(self._sizes[home] for home in self._kept)

    def hold(self, image: Volume) -> _Result:
        """An image, which the training loop keeps, whatever the layers need."""
        home = self._place(image, BYTES_PER_NUMBER)
        self._kept.add(home)
        return _Result(image, home, BYTES_PER_NUMBER, False)

    def label(self, output: Volume) -> None:
        """The labels of an output, which the training loop keeps as well."""
        self._extra += LABEL_BYTES * output.positions

    def enter(
        self,
        saved: Saved,
        inputs: list[_Result],
        out: Volume,
        autocast: Autocast,
        *,
        is_trained: bool,
    ) -> _Result:
        """Enter what a layer keeps; where no gradient passes, that is nothing."""
        cast = {Autocast.LOWERS: self._low, Autocast.RAISES: BYTES_PER_NUMBER}.get(autocast)
        works = cast or max(x.width for x in inputs)
        width = BYTES_PER_NUMBER if autocast is Autocast.WIDENS else works
        home = inputs[0].home if saved.is_view else self._place(out, width)
        result = _Result(out, home, width, is_trained)
        if not is_trained:
            return result
        for x in inputs if saved.inputs else ():
            if cast in (None, x.width):
                self._kept.add(x.home)
            else:  # each layer that casts keeps a copy of its own
                self._extra += works * x.volume.elements
        if saved.output:
            self._kept.add(home)
        self._extra += works * saved.numbers + saved.bytes
        widths = {BYTES_PER_NUMBER, works}
        self._extra += sum(widths) * saved.raised
        self.per_batch += saved.once
        return result

    def _place(self, volume: Volume, width: int) -> int:
        self._sizes.append(width * volume.elements)
        return len(self._sizes) - 1
