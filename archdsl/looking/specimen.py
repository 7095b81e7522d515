"""A trained network with the Model of its spec, by whose names its parts are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from archdsl.frontend import read_models, read_source
from archdsl.looking.errors import LookingError
from archdsl.looking.stages import passes_on
from archdsl.model import Model
from archdsl.network.graph import Node, label_of
from archdsl.report.text import count_of
from archdsl.text.diagnostics import ArchError, suggest
from archdsl.train.finished import Finished, Which, open_run
from archdsl.train.task import TaskKind
from archdsl.validation import InvalidModuleError, validate


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
    def task(self) -> TaskKind:
        """What it was trained for."""
        return self.finished.task

    @property
    def classes(self) -> list[str]:
        return self.finished.classes

    @property
    def told(self) -> list[str]:
        """The names of what it tells: classes or numbers; none of an autoencoder."""
        match self.task:
            case "reconstruction":
                return []
            case "regression":
                return self.finished.targets
        return self.classes

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
        """What the network says of each class, N×K, before the softmax of the loss."""
        return self.finished.scores(images)

    def module_of(self, node: Node) -> nn.Module:
        """The module of a layer with one input."""
        return self.network.get_submodule(self.model.names[node.module])

    def class_index(self, wanted: str) -> int:
        """The number of a class that is given by its name, or else by its number, from 0.

        Errors:
            LookingError: where there is no such class, or the network tells no classes apart.
        """
        self.refuse_without_classes()
        if wanted in self.classes:
            return self.classes.index(wanted)
        if wanted.isascii() and wanted.isdecimal() and int(wanted) < len(self.classes):
            return int(wanted)
        near = suggest(wanted, self.classes)
        hint = f": did you mean `{near}`?" if near else ""
        if not hint:
            hint = f"; they are numbered from 0 to {len(self.classes) - 1}"
        raise LookingError(f"{self.name} knows no class `{wanted}`{hint}")

    def refuse_without_classes(self) -> None:
        """Raises ``LookingError`` where the network does not tell classes of images apart."""
        if self.task != "classification":
            raise LookingError(
                f"{self.finished.run.folder} is a run of {self.task}; its network does not tell "
                "classes of images apart"
            )


def open_specimen(folder: Path, which: Which = "best", spec: Path | None = None) -> Specimen:
    """Open the folder of a run with its best or last weights, and the Model of its spec.

    ``spec`` is the file that it was trained from, where the run's own copy cannot be read alone.

    Errors:
        TrainError: where the folder is not that of a run, or has no weights.
        LookingError: where the spec cannot be read or is not that of the module, or the network
            has several inputs.
    """
    finished = open_run(folder, which, tries=False)
    return specimen_of(finished, _model_of(finished, spec))


def specimen_among(models: Sequence[Model], folder: Path, path: str) -> Specimen:
    """Open the folder of a run with its best weights, as one of some networks of a spec.

    Errors:
        TrainError: where the folder is not that of a run, or has no weights.
        LookingError: where its network is none of them, with what differs; or has several inputs.
    """
    finished = open_run(folder, tries=False)
    return specimen_of(finished, _network_of(finished, models, path))


def specimen_of(finished: Finished, model: Model) -> Specimen:
    """A run with the Model of its network.

    Errors:
        LookingError: where the Model is that of another network, with what differs; or has several
            inputs.
    """
    if len(model.inputs) > 1:
        names = ", ".join(f"`{label_of(node)}`" for node in model.inputs)
        raise LookingError(
            f"{model.name} has {len(model.inputs)} inputs ({names}); "
            "only networks with one can be looked into"
        )
    module = finished.run.module
    other = f"{module} is not the network of {model.path}"
    try:
        validate(module.read_text("utf-8"), {finished.facts["class"]: model})
    except InvalidModuleError as found:
        raise LookingError(f"{other}: {found.said}") from None
    specimen = Specimen(finished, model)
    # The facts may have been changed by hand, or the order of outputs with names.
    told, wanted = specimen.answer.volume, specimen.told
    if wanted and told.channels != len(wanted):
        raise LookingError(
            f"{finished.run.facts} names {count_of(len(wanted), 'output')}, {model.name} has {told}"
        )
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
    return _network_of(finished, models, str(path))


def _network_of(finished: Finished, models: Sequence[Model], path: str) -> Model:
    """The network that was trained; of a file with a single one it may have another name."""
    wanted = finished.facts.get("network")
    for model in models:
        if model.name == wanted or len(models) == 1:
            return model
    raise LookingError(f"{path} has no network {wanted}, which {finished.run.folder} is a run of")


def check_finite(values: Tensor, what: str) -> None:
    """Raises ``LookingError`` where a number is infinite or NaN, which has no colour."""
    if not torch.isfinite(values).all():
        raise LookingError(f"{what} is not finite: not all its numbers can be shown")
