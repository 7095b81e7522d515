"""A run that has weights: its network, for evaluation, prediction and looking into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from archdsl.classplan.naming import field_name
from archdsl.layers.volume import Volume
from archdsl.report.text import count_of
from archdsl.torch_tools.errors import ToolError
from archdsl.torch_tools.network import load_network
from archdsl.torch_tools.weights import load_weights
from archdsl.train.checkpoints import SHARDS, read_checkpoint
from archdsl.train.data import Appearance, prepare_pixels
from archdsl.train.data.preparation import (
    Normalization,
    Preparation,
    Statistics,
    centre_preparation,
)
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.task import TaskKind

Which = Literal["best", "last"]

#: What ``run.json`` must say for its network to be used, and of which type it is.
_NEEDED: dict[tuple[str, ...], type] = {
    ("class",): str,
    ("input",): list,
    ("gives_probabilities",): bool,
    ("data", "name"): str,
    ("data", "classes"): list,
    ("data", "mean"): list,
    ("data", "std"): list,
    ("data", "enlarged"): bool,
    ("data", "finished"): bool,
    ("options", "seed"): int,
}


@dataclass(frozen=True)
class Finished:
    """A network with trained weights, in evaluation mode, and the facts of its run."""

    run: RunFolder
    network: nn.Module
    facts: dict[str, Any]

    @property
    def task(self) -> TaskKind:
        """What it was trained for."""
        task: TaskKind = self.facts.get("task", "classification")  # older runs know no other
        return task

    @property
    def input(self) -> Volume:
        return Volume(tuple(self.facts["input"]))

    @property
    def classes(self) -> list[str]:
        classes: list[str] = self.facts["data"]["classes"]
        return classes

    @property
    def targets(self) -> list[str]:
        """The names of the numbers that it tells, where it is for that."""
        targets: list[str] = self.facts["data"].get("targets", [])
        return targets

    @property
    def appearance(self) -> Appearance | None:
        """How the images it was trained with look; older runs do not say."""
        found = self.facts["data"].get("appearance")
        return None if found is None else Appearance.read(found)

    def refuse_finished_data(self) -> None:
        """Raises ``TrainError`` where the run's own data prepares its images, in an unknown way."""
        data = self.facts["data"]
        if data["finished"]:
            raise TrainError(
                f"the images of {data['name']} come finished from the user's own data, so archdsl "
                "does not know how to prepare a file like them"
            )

    def pixels(self, path: Path, *, invert: bool = False) -> Tensor:
        """One file as the network sees it, but for the normalization: uint8 C×H×W.

        Errors:
            TrainError: where the file cannot be read or is not an image, or the network does not
                take images.
        """
        self.refuse_finished_data()
        appearance = self.appearance
        return prepare_pixels(
            path,
            input=self.input,
            enlarged=self.facts["data"]["enlarged"],
            invert=invert,
            background=appearance.background if appearance else None,
        )

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels, uint8 C×H×W, as the network takes them: float32, like the validation images."""
        return self.normalization(pixels[None])[0]

    @property
    def normalization(self) -> Normalization:
        return Normalization(self.statistics)

    @property
    def statistics(self) -> Statistics:
        """What the images are normalized with."""
        data = self.facts["data"]
        return Statistics(tuple(data["mean"]), tuple(data["std"]))

    @property
    def preparation(self) -> Preparation:
        """What brings images to the input, in validation and prediction."""
        return centre_preparation(self.input, enlarged=self.facts["data"]["enlarged"])

    def prepare(self, path: Path) -> Tensor:
        """One file as the network takes it: float32 C×H×W. Errors: as for ``pixels``."""
        return self.normalize(self.pixels(path))

    def pixels_of(self, image: Tensor) -> Tensor:
        """The pixels from 0 to 1 of images as the network takes them, …×C×H×W."""
        return self.normalization.undo(image)

    def scores(self, images: Tensor) -> Tensor:
        """What the network returns for images, N×C×H×W: of several outputs, the one that says it.

        Gradients flow through it.
        """
        output = self.network(images)
        if name := self.facts.get("classified"):
            output = getattr(output, field_name(name))
        found: Tensor = output
        return found

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of each class for images, N×C×H×W: N×K, or of each pixel N×K×h×w."""
        output = self.scores(images)
        # A network that ends in a softmax already returns probabilities.
        return output if self.facts["gives_probabilities"] else output.float().softmax(1)

    @torch.inference_mode()
    def answers(self, images: Tensor) -> Tensor:
        """What the network says of images, N×C×H×W, in the terms of its task.

        Probabilities where it tells classes apart; of an autoencoder, pixels from 0 to 1; else the
        numbers that it returns.
        """
        if self.task in ("classification", "segmentation"):
            return self.probabilities(images)
        output = self.scores(images).float()
        if self.task == "reconstruction" and not self.facts["gives_pixels"]:
            return self.pixels_of(output)
        return output


def open_run(
    folder: Path, which: Which = "best", device: str = "cpu", *, tries: bool = True
) -> Finished:
    """Open the folder of a run with its best or its last weights.

    With ``tries`` an image goes through the network, in case its module was changed by hand.

    Errors:
        TrainError: where the folder is not that of a run, what is in it does not fit together, or
            the device is missing.
    """
    is_here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not is_here.get(device, True):
        raise TrainError(f"there is no {device} device here")
    run = RunFolder(folder)
    facts = run.read_facts()
    _check_facts(run, facts)
    try:
        source = run.module.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainError(f"cannot read {run.module}: {error}") from None
    try:
        network = load_network(source, facts["class"])
    # The module is executed, and may have been changed by hand.
    except Exception as error:
        raise TrainError(f"{run.module} cannot be run: {type(error).__name__}: {error}") from None
    try:
        load_weights(network, weights_of(run, which))
    except TrainError:
        raise
    except ToolError as fault:
        raise TrainError(str(fault)) from None
    finished = Finished(run, network.to(device).eval(), facts)
    if tries:
        _check_network(finished, device)
    return finished


def weights_of(run: RunFolder, which: Which = "best") -> Path:
    """The file that has the best, or the last, weights of a run.

    Errors:
        TrainError: where it has none yet.
    """
    last = [run.last, run.last_weights]
    if run.last.exists() and SHARDS in read_checkpoint(run.last):
        last = [run.last_weights]  # the parts are of no use to one process
    # A run that was stopped during its first epoch has no best weights.
    for path in (run.weights, run.best, *last) if which == "best" else last:
        if path.exists():
            return path
    raise TrainError(f"{run.folder} has no weights yet")


def _check_facts(run: RunFolder, facts: dict[str, Any]) -> None:
    for names, kind in _NEEDED.items():
        value: Any = facts
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            raise TrainError(f"{run.facts} is damaged: `{'.'.join(names)}` is missing")
    sizes, data = facts["input"], facts["data"]
    if not all(isinstance(size, int) and size > 0 for size in sizes) or len(sizes) not in (1, 3):
        raise TrainError(f"{run.facts} is damaged: `input` is {sizes}")
    task = facts.get("task", "classification")
    if task not in get_args(TaskKind):
        raise TrainError(f"{run.facts} is damaged, or of a newer archdsl: `task` is {task}")
    if task == "reconstruction" and not isinstance(facts.get("gives_pixels"), bool):
        raise TrainError(
            f"{run.folder} is of an older archdsl, and does not say whether its network returns "
            "pixels or normalized ones: train it again"
        )
    names = data.get("targets") if task == "regression" else data["classes"]
    is_named = bool(names) or task == "reconstruction"
    if not is_named or not all(isinstance(name, str) for name in names):
        what = "targets" if task == "regression" else "classes"
        raise TrainError(f"{run.facts} is damaged: `data.{what}` are not names")
    for name in ("mean", "std"):
        values = data[name]
        if len(values) != sizes[-1] or not all(isinstance(value, int | float) for value in values):
            raise TrainError(f"{run.facts} is damaged: `data.{name}` is {values}")
    if data.get("appearance") is not None:
        try:
            background = Appearance.read(data["appearance"]).background
        except ValueError:
            background = ()
        if len(background) != sizes[-1]:
            raise TrainError(f"{run.facts} is damaged: `data.appearance` is {data['appearance']}")


def _check_network(finished: Finished, device: str) -> None:
    """Check that an image goes through, and comes out as what its task needs."""
    image = torch.zeros(1, *finished.input.torch_sizes, device=device)
    try:
        with torch.inference_mode():
            found = list(finished.scores(image).shape)
    except Exception as error:
        line = str(error).partition("\n")[0]
        raise TrainError(f"{finished.run.module} does not run: {line}") from None
    facts, module = finished.run.facts, finished.run.module
    if finished.task in ("classification", "regression"):
        is_told = finished.task == "regression"
        names = finished.targets if is_told else finished.classes
        if found != [1, len(names)]:
            raise TrainError(
                f"{facts} names {count_of(len(names), 'target' if is_told else 'class')}, "
                f"{module} returns {count_of(found[-1], 'number')}"
            )
        return
    wanted = len(finished.classes) if finished.task == "segmentation" else finished.input.channels
    same_size = finished.task == "segmentation" or found[2:] == list(image.shape[2:])
    if len(found) != 4 or found[1] != wanted or not same_size:
        returned = "x".join(map(str, (*found[2:], found[1])))
        raise TrainError(f"{module} returns {returned}, which is not what {facts} says")
