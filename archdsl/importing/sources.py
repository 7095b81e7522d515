"""Whatever can be imported, by what a user writes: a constructor, or a file of another tool."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archdsl.classplan.naming import camel_case
from archdsl.frontend import Inputs, Sizes, as_inputs
from archdsl.importing.errors import WrongSource
from archdsl.importing.files import FileSource
from archdsl.importing.from_caffe.file import read_caffe
from archdsl.importing.from_darknet.file import read_darknet
from archdsl.importing.from_torch.externs import noted
from archdsl.importing.from_torch.source import TorchSource, build, read_source, usual_input
from archdsl.importing.importer import Imported, import_file, import_torch
from archdsl.importing.suffixes import CAFFE, DARKNET, ONNX, SUFFIXES
from archdsl.model import Model

#: No file is larger than what a protocol buffer can hold.
_MAX_BYTES = 2**31
#: Files that describe no network, and what to give instead.
_OTHERS = {
    ".caffemodel": "the weights of a `.prototxt`: give this first",
    ".weights": "the weights of a `.cfg`: give this first",
    ".safetensors": "weights without a network: give the code that builds it",
    ".h5": "of Keras: export ONNX from there, for example with tf2onnx",
    ".keras": "of Keras: export ONNX from there, for example with tf2onnx",
    ".pb": "of TensorFlow: export ONNX from there, for example with tf2onnx",
    ".tflite": "of TensorFlow Lite: export ONNX from there, for example with tf2onnx",
    ".arch": "a spec already",
}


@dataclass(frozen=True)
class Importable:
    """What a user wants to import: how it is shown, what it is called, and how it is made."""

    shown: str
    name: str
    #: Whether the code in a file is executed for it.
    is_executed: bool
    make: Callable[[], Imported]


def find_source(
    text: str,
    *,
    weights: Path | None = None,
    arguments: str = "",
    input: Inputs | None = None,
    name: str | None = None,
    extern: bool = False,
) -> Importable:
    """What a text names; nothing is read or executed yet.

    ``weights`` are those of a file that has none itself, ``arguments`` further ones of a
    constructor, ``input`` its volume, or those of several inputs by name, and ``name`` that of the
    network. With ``extern``, modules that the language cannot say are `extern`.

    Errors:
        WrongSource: where it names nothing that could be imported, or lacks a volume.
    """
    suffix = Path(text).suffix.lower()
    if suffix in _OTHERS:
        raise WrongSource(f"{text} is {_OTHERS[suffix]}")
    if suffix in SUFFIXES:
        called = name or _name_of(text)
        if arguments:
            raise WrongSource(f"{text} is no constructor, and takes no arguments")
        if extern:
            raise WrongSource(f"{text} has no modules of Python, which `--extern` is for")
        given = _Given(Path(text), called, weights, input)
        return Importable(text, called, False, lambda: _import_file(given))
    if weights is not None:
        raise WrongSource(f"{text}: only a `.prototxt` or a `.cfg` has weights in a second file")
    source = read_source(text, arguments)
    volume = input or usual_input(source)
    if volume is None:
        raise WrongSource(
            f"{source}: pass the volume of its input, such as `--input 32x32x3`, or of each one by "
            'its name: `--input "left: 32x32x3, right: 32x32x3"`'
        )
    called = name or camel_case(source.name)
    return Importable(
        str(source),
        called,
        source.is_file and Path(source.place).is_file(),
        lambda: _import_torch(source, called, volume, extern),
    )


def _import_torch(source: TorchSource, name: str, inputs: Inputs, extern: bool) -> Imported:
    if not extern:
        return import_torch(build(source), name, inputs, str(source))
    with noted() as constructions:
        module = build(source)
    return import_torch(module, name, inputs, str(source), externs=constructions)


def from_file(
    path: str | Path,
    *,
    weights: str | Path | None = None,
    input: Sizes | Mapping[str, Sizes] | None = None,
    name: str | None = None,
) -> Model:
    """The Model of a ``.onnx``, ``.prototxt`` or ``.cfg`` file, proved to compute the same.

    ``weights`` is the ``.caffemodel`` of a prototxt or the ``.weights`` of a cfg, and ``input`` the
    volume of an image, channels last, where the file leaves it open; of several inputs each has its
    name. ``model.source.text`` is the text.

    Errors:
        WrongSource: where the file cannot be read, or is none of these.
        NotInTheLanguage: with all that the language cannot say.
        NotTheSame: where the two compute other numbers, which is a fault of archdsl.
        ValueError: the input is no volume.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise WrongSource(f"{path} is no file of ONNX, Caffe or Darknet")
    found = find_source(
        str(path),
        weights=None if weights is None else Path(weights),
        input=None if input is None else as_inputs(input),
        name=name,
    )
    return found.make().model


def _name_of(path: str) -> str:
    name = camel_case(re.sub(r"\W+", "_", Path(path).stem).strip("_"))
    return name if name.isidentifier() else f"Net{name}"


@dataclass(frozen=True)
class _Given:
    """What a reader of files is given: the file, and what goes with it."""

    path: Path
    name: str
    weights: Path | None
    input: Inputs | None

    def text(self) -> str:
        """The file as text. Errors: ``WrongSource``."""
        content = _content(self.path)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise WrongSource(f"{self.path}, line {line}: it is not UTF-8 text") from None

    def trained(self) -> bytes | None:
        """What the file of weights holds, if there is one."""
        return None if self.weights is None else _content(self.weights)


def _import_file(given: _Given) -> Imported:
    path, weights = given.path, given.weights
    source = _READERS[path.suffix.lower()](given)
    return import_file(source, path.name if weights is None else f"{path.name}, {weights.name}")


def _content(path: Path) -> bytes:
    """What a file holds. Errors: ``WrongSource``."""
    try:
        if path.exists() and not path.is_file():
            raise WrongSource(f"{path} is not a regular file")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WrongSource(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise WrongSource(f"{path} is larger than {_MAX_BYTES:,} bytes")
    return content


def _read_onnx(given: _Given) -> FileSource:
    from archdsl.importing.from_onnx.file import read_onnx

    if given.weights is not None:
        raise WrongSource("an ONNX model says itself where its weights are")
    return read_onnx(_content(given.path), given.name, given.input, given.path.parent)


def _read_caffe(given: _Given) -> FileSource:
    return read_caffe(given.text(), given.name, given.trained(), given.input)


def _read_darknet(given: _Given) -> FileSource:
    source = read_darknet(given.text(), given.name, given.trained())
    (volume,) = source.graph.inputs.values()
    if given.input not in (None, volume):
        shown = "several" if isinstance(given.input, Mapping) else given.input
        raise WrongSource(f"{given.name}: the file's input is {volume}, not {shown}")
    return source


_READERS: dict[str, Callable[[_Given], FileSource]] = {
    ONNX: _read_onnx,
    CAFFE: _read_caffe,
    DARKNET: _read_darknet,
}
