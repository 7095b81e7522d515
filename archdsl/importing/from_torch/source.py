"""What is to be imported: a module of PyTorch, by where Python finds it and how it is made."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from archdsl.importing.errors import WrongSource
from archdsl.layers.volume import Volume

_SOURCE = re.compile(
    r"(?P<place>[^:]+):(?P<name>[A-Za-z_]\w*)(?:\((?P<arguments>.*)\))?", re.DOTALL
)


@dataclass(frozen=True)
class TorchSource:
    """``torchvision.models:resnet50(num_classes=10)``, taken apart."""

    place: str
    name: str
    arguments: Mapping[str, Any]

    @property
    def is_file(self) -> bool:
        return self.place.endswith(".py")

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.place}:{self.name}" + (f"({given})" if given else "")


def read_source(text: str, more: str = "") -> TorchSource:
    """What a text names; ``more`` are further arguments.

    Errors:
        WrongSource: where it names nothing that could be imported.
    """
    if text.endswith((".pt", ".pth", ".bin", ".ckpt")):
        raise WrongSource(
            f"{text} is a pickle: reading it could run anything, and with `weights_only` it has no "
            "structure; give the code that builds the network, such as `mynet.py:Net`"
        )
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise WrongSource(
            f"{text!r} names no module: write for example `torchvision.models:resnet50`, or "
            "`mynet.py:Net(width=2)`"
        )
    arguments = {
        **_arguments(match["arguments"] or "", text),
        **_arguments(more, more),
    }
    return TorchSource(match["place"], match["name"], arguments)


def _arguments(text: str, shown: str) -> dict[str, Any]:
    """Arguments by name, which are literals."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise WrongSource(f"{shown!r}: arguments are given by name, such as `num_classes=10`")
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise WrongSource(f"{shown!r}: arguments are literals, such as `num_classes=10`") from None


def build(source: TorchSource) -> nn.Module:
    """Make the module; its code runs.

    Errors:
        WrongSource: where it cannot be found or made, or is no module.
    """
    found = getattr(_module(source), source.name, None)
    if not callable(found):
        raise WrongSource(f"{source.place} has no `{source.name}` that could be called")
    try:
        made = found(**source.arguments)
    except Exception as error:  # whatever the code of others raises
        raise WrongSource(f"{source} cannot be made: {_line(error)}") from None
    if not isinstance(made, nn.Module):
        kind = type(made).__name__
        raise WrongSource(f"{source} makes an object of type {kind}, not an nn.Module")
    return made


def _module(source: TorchSource) -> ModuleType:
    try:
        if not source.is_file:
            return importlib.import_module(source.place)
        path = Path(source.place)
        if not path.is_file():
            raise WrongSource(f"there is no file {source.place}")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module
    except WrongSource:
        raise
    except Exception as error:  # whatever the code of others raises
        raise WrongSource(f"{source.place} cannot be imported: {_line(error)}") from None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def usual_input(source: TorchSource) -> Volume | None:
    """The images that torchvision's weights of a classifier are for; None for all else."""
    if source.place != "torchvision.models":
        return None
    try:
        from torchvision import models  # type: ignore[import-untyped]

        weights = models.get_model_weights(source.name).DEFAULT
        size = weights.transforms.keywords["crop_size"]
    except (ImportError, ValueError, AttributeError, KeyError):
        return None
    return Volume((size, size, 3))
