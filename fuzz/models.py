"""A target for Atheris: any bytes give models or an ``ArchError``, and nothing else.

    python fuzz/models.py FOUND specs specs/torchvision archdsl/std -dict=fuzz/words.dict

Whatever is said of a text must render, and whatever is offered to fix it must apply. See README.md
beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["archdsl", "lark"]):
    from archdsl.api import compile
    from archdsl.formatting import render_formatted
    from archdsl.frontend import diagnose, read_models
    from archdsl.layers.volume import Volume
    from archdsl.report.diagnostics import render_diagnostics
    from archdsl.text.diagnostics import ArchError
    from archdsl.text.fixes import apply_fixes
    from archdsl.text.source import Source

FOLDER = Path(__file__).resolve().parent
INPUT = Volume((28, 28, 16))
#: Modules of larger networks are not written: the target is the way to the model.
MAX_NODES = 200


def test_one_input(data: bytes) -> None:
    # A file must be UTF-8; a text from Python may hold lone surrogates.
    text = data.decode("utf-8", "surrogateescape")
    source = Source(text, str(FOLDER / "fuzz.arch"))
    found = diagnose(source, INPUT)
    render_diagnostics(found)
    apply_fixes(source, found, unsafe=True)
    for diagnostic in found:
        assert diagnostic.code != "internal-error"
        assert diagnostic.span is not None
        assert 0 <= diagnostic.span.start <= diagnostic.span.end
        assert diagnostic.span.end <= len(diagnostic.span.source.text)
    try:
        models = read_models(source, INPUT)
    except ArchError:
        return
    render_formatted(source)
    for model in models:
        if len(model.nodes) <= MAX_NODES:
            compile(model)


def main() -> None:
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
