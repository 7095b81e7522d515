"""A trained network with the Model of its spec, by whose names its parts are found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from archdsl.classplan.naming import field_name
from archdsl.frontend import read_models, read_source
from archdsl.layers import UnaryLayer
from archdsl.looking.errors import LookingError
from archdsl.looking.stages import passes_on
from archdsl.model import Model
from archdsl.network.graph import Node, label_of
from archdsl.text.diagnostics import ArchError, suggest
from archdsl.train.finished import Finished, Which, open_run


@dataclass(frozen=True)
class Specimen:
    """A network with trained weights, in evaluation mode, and what is known about its parts."""

    finished: Finished
    model: Model

    @property
    def network(self) -> nn.Module:
        return self.finished.network

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def classes(self) -> list[str]:
        return self.finished.classes

    @cached_property
    def answer(self) -> Node:
        """The node that says the class: the end of the network, or the output trained for it."""
        name = self.finished.facts.get("classified") or ""
        ends = {output.name: output.node for output in self.model.results}
        return self.model.nodes[ends.get(name, self.model.ends[0])]

    def is_answer(self, id: int) -> bool:
        """Whether a node gives the score of each class, perhaps in another shape."""
        at = self.answer
        while at.id != id and passes_on(self.model, at):
            at = self.model.nodes[at.inputs[0]]
        return at.id == id

    @property
    def gives_probabilities(self) -> bool:
        """Whether the network ends in a softmax, so that its scores are probabilities."""
        return bool(self.finished.facts["gives_probabilities"])

    def scores(self, images: Tensor) -> Tensor:
        """What the network says of each class (N × classes), before the softmax of the loss."""
        output = self.network(images)
        if name := self.finished.facts.get("classified"):
            output = getattr(output, field_name(name))
        found: Tensor = output
        return found

    def module_of(self, node: Node) -> nn.Module:
        """The module of a layer with one input."""
        return self.network.get_submodule(self.model.names[node.module])

    def class_index(self, wanted: str) -> int:
        """The number of a class that is given by its name, or else by its number, from 0.

        Errors:
            LookingError: where there is no such class.
        """
        if wanted in self.classes:
            return self.classes.index(wanted)
        if wanted.isascii() and wanted.isdecimal() and int(wanted) < len(self.classes):
            return int(wanted)
        near = suggest(wanted, self.classes)
        hint = f": did you mean `{near}`?" if near else ""
        if not hint:
            hint = f"; they are numbered from 0 to {len(self.classes) - 1}"
        raise LookingError(f"{self.name} knows no class `{wanted}`{hint}")


def open_specimen(folder: Path, which: Which = "best", spec: Path | None = None) -> Specimen:
    """Open the folder of a run with its best or last weights, and the Model of its spec.

    ``spec`` is the file that it was trained from, where the run's own copy cannot be read alone.

    Errors:
        TrainError: where the folder is not that of a run, or has no weights.
        LookingError: where the spec cannot be read or is not that of the module, or the network
            has several inputs.
    """
    finished = open_run(folder, which)
    specimen = Specimen(finished, _model_of(finished, spec))
    _check_names(specimen)
    return specimen


def _model_of(finished: Finished, spec: Path | None) -> Model:
    path = spec or finished.run.spec
    try:
        source = read_source(path)
        try:
            models = read_models(source)
        except ArchError:
            # A file of bare statements says nothing about its input.
            models = read_models(source, finished.input)
    except ArchError as error:
        line = str(error).partition("\n")[0]
        advice = "" if spec else "; pass the file it was trained from with --spec"
        raise LookingError(f"cannot read the spec of the run: {line}{advice}") from None
    wanted = finished.facts.get("network")
    for model in models:
        if model.name == wanted or len(models) == 1:
            break
    else:
        raise LookingError(f"{path} has no network {wanted}")
    if len(model.inputs) > 1:
        names = ", ".join(f"`{label_of(node)}`" for node in model.inputs)
        raise LookingError(
            f"{model.name} has {len(model.inputs)} inputs ({names}); "
            "`archdsl look` takes networks with one"
        )
    return model


def _check_names(specimen: Specimen) -> None:
    """The spec may have been changed by hand, or be another one."""
    modules = dict(specimen.network.named_modules())
    for node in specimen.model.layers:
        name = specimen.model.names[node.module]
        if isinstance(node.layer, UnaryLayer) and name not in modules:
            raise LookingError(
                f"{specimen.finished.run.module} is not the network of {specimen.model.path}: "
                f"it has no `{name}`"
            )


def check_finite(values: Tensor, what: str) -> None:
    """Raises ``LookingError`` where a number is infinite or NaN, which has no colour."""
    if not torch.isfinite(values).all():
        raise LookingError(f"{what} is not finite: not all its numbers can be shown")
