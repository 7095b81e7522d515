"""Imports run one way, and what is wrapped in one place is imported only there."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import pytest
from conftest import ROOT

PACKAGE = ROOT / "archdsl"

#: From the bottom of the house to the top, each room once. A file may import what stands in its
#: own room, or in rooms on floors below. A room is a folder or a file of the package; those of
#: `drawing` have floors of their own.
FLOORS = (
    ("records", "collector", "version"),
    ("rules",),
    ("text",),
    ("layers",),
    ("recipe", "formatting"),
    ("network",),
    ("elaborate", "classplan"),
    ("model",),
    ("deployment", "lints"),
    ("frontend",),
    ("report", "codegen", "validation"),
    ("drawing/errors", "drawing/canvas"),
    ("drawing/options",),
    ("drawing/figure",),
    ("drawing/graph", "drawing/tables"),
    ("drawing/volumes", "drawing/page"),
    ("drawing/styles",),
    ("drawing",),
    ("compilation",),
    ("torch_tools",),
    ("train",),
    ("looking",),
    ("replacing",),
    ("api",),
    ("importing",),
    ("written",),
    ("cli", "notebook"),
    ("__main__", "__init__"),
)
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}

#: Targets do not know each other, and what validates a module shares nothing with what writes it.
APART = {"report", "drawing", "codegen", "validation"}

#: The page for a browser shows the picture beside the table of `archdsl check`.
TOGETHER = {("drawing/page", "report")}

#: Each library outside the standard one has one place.
ONLY_IN = {
    # Beside the parser of the language, that of Caffe's networks.
    "lark": {
        "text/parser.py",
        "text/tree.py",
        "text/grammar.py",
        "text/attachment.py",
        "importing/from_caffe/prototxt.py",
    },
    "networkx": {
        "network/graph.py",
        "model/consistency.py",
        "model/model.py",
        "validation/graphs.py",
        "importing/structure.py",
    },
    "jinja2": {"codegen/", "drawing/page/"},
    "graphviz": {"drawing/figure/dot.py"},
    "resvg_py": {"drawing/canvas/png.py"},
    "reportlab": {"drawing/canvas/pdf.py"},
    # Beside the command line, its colours of text.
    "click": {"cli/", "report/text.py"},
    "rich_click": {"cli/"},
    "rich": {"cli/", "train/progress.py"},
    "IPython": {"notebook.py"},
    # Checking, drawing and compiling need no torch.
    "torch": {"torch_tools/", "train/", "looking/", "importing/"},
    "onnx": {"torch_tools/", "importing/from_onnx/"},
    "onnxruntime": {"torch_tools/", "importing/from_onnx/"},
    "webdataset": {"train/data/shards.py"},
    "nvidia": {"train/dali.py"},
    "captum": {"looking/attribution.py"},
}


def _room_of(module: str) -> str:
    """The room of a module of the package: `drawing/canvas`, or `elaborate`."""
    parts = module.split(".")[1:]
    inner = "/".join(parts[:2])
    return inner if inner in HEIGHT else parts[0] if parts else "__init__"


@dataclass(frozen=True)
class Import:
    path: Path
    line: int
    module: str

    @property
    def place(self) -> str:
        return self.path.relative_to(PACKAGE).as_posix()

    @property
    def importer(self) -> str:
        """The module that imports."""
        place = self.place.removesuffix(".py").removesuffix("__init__").removesuffix("/")
        return f"archdsl/{place}".removesuffix("/").replace("/", ".")

    @property
    def room(self) -> str:
        return _room_of(self.importer)

    @property
    def target(self) -> str:
        """The room of the package that is imported."""
        return _room_of(self.module)

    def __str__(self) -> str:
        return f"archdsl/{self.place}:{self.line} imports {self.module}"


def _modules() -> dict[str, Path]:
    """The files of the package by the name of their module."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {Import(path, 0, "").importer: path for path in paths}


MODULES = _modules()


def _imports_of(path: Path) -> list[Import]:
    """All imports of a file, also those in functions and those for types alone."""
    found: list[Import] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                found += [Import(path, node.lineno, alias.name) for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"{path}:{node.lineno} imports relatively"
                assert module
                full = {f"{module}.{alias.name}" for alias in names}
                found += [Import(path, node.lineno, name) for name in full & MODULES.keys()]
                if full - MODULES.keys():
                    found.append(Import(path, node.lineno, module))
    return found


IMPORTS = [found for path in MODULES.values() for found in _imports_of(path)]
OWN = [found for found in IMPORTS if found.module.split(".")[0] == "archdsl"]


def _is_allowed(found: Import) -> bool:
    if found.room == found.target:
        return True
    if (found.room, found.target) in TOGETHER:
        return True
    if {found.room.split("/")[0], found.target.split("/")[0]} <= APART:
        return found.room.split("/")[0] == found.target.split("/")[0] and _is_below(found)
    return _is_below(found)


def _is_below(found: Import) -> bool:
    return HEIGHT[found.target] < HEIGHT[found.room]


def test_every_room_has_a_floor() -> None:
    rooms = {_room_of(module) for module in MODULES}
    assert rooms == HEIGHT.keys()


def test_imports_run_one_way() -> None:
    assert [str(found) for found in OWN if not _is_allowed(found)] == []


def test_every_exception_is_needed() -> None:
    assert {(found.room, found.target) for found in OWN} >= TOGETHER


def test_no_circle_of_imports() -> None:
    """Nor one through imports in functions, or for types alone."""
    graph = nx.DiGraph((found.importer, found.module) for found in OWN)
    assert [sorted(circle) for circle in nx.simple_cycles(graph)] == []


def test_a_name_is_that_of_one_class() -> None:
    """So that no import needs `as`. The nodes of the syntax tree are named `syntax.Network`."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and module != "archdsl.text.syntax":
                homes.setdefault(node.name, []).append(module)
        renamed = [
            alias.asname
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("archdsl")
            for alias in node.names
            if alias.asname
        ]
        assert renamed == [], module
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_no_file_lies_deeper_than_three_folders() -> None:
    deep = [module for module in MODULES if module.count(".") > 3]
    assert deep == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_only_importer(library: str) -> None:
    strangers = [
        str(found)
        for found in IMPORTS
        if found.module.split(".")[0] == library
        and not any(found.place.startswith(home) for home in ONLY_IN[library])
    ]
    assert strangers == []


# ── Fast start ───────────────────────────────────────────────────────────────────────────────

#: Runs a check and prints the names of all modules that it has imported.
CHECK = """
import contextlib, io, sys
from archdsl.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main(["check", "specs/vgg16.arch"])
print(*sys.modules)
"""


def test_what_a_check_imports() -> None:
    """Nothing of torch or targets, and dataclasses whose methods are not written in advance."""
    printed = subprocess.check_output([sys.executable, "-c", CHECK], text=True, cwd=ROOT)
    modules = set(printed.split())
    assert "networkx" in modules
    assert not modules & {"torch", "numpy", "jinja2", "reportlab", "rich", "matplotlib"}
    assert not modules & {"archdsl.formatting", "archdsl.drawing", "archdsl.codegen"}
    own = modules - {"archdsl.records"}
    eager = {
        name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "dataclasses"
        and "dataclass" in {alias.name for alias in node.names}
        for name in [".".join(path.relative_to(ROOT).with_suffix("").parts)]
    }
    assert eager & {name.removesuffix(".__init__") for name in own} == set()
