"""Holes in the tests: small changes of archdsl, drawn by chance, that no test notices.

    pip install cosmic-ray
    python benchmarks/mutants.py [--each 30] [--seed 1] [--session FILE] [PACKAGE ...]

Needs the extra ``test``, and hours for all packages. Cosmic Ray finds the places and makes the
changes, one at a time, in a copy of the tree; kinds of change that it lacks are below. Of each
package so many places are drawn as ``--each`` says, and of each place one change. Then tests of the
package run, the quick ones first: one that fails, or takes too long, has noticed the change.
Prints each result, the changes that nothing noticed, and a table. Exits with 1 where there are any.

The session keeps the results of a tree: after a stop, the same command goes on, or one for more
packages, or more of each. Annotations, assertions, decorators, aliases of types, ``__all__`` and
``strict`` of ``zip`` stay as they are, since they say nothing of what archdsl does.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import os
import py_compile
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import parso
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.operators.operator import Operator
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parent.parent
#: A command that takes longer has noticed the change; without one it takes half of it at most.
MAX_SECONDS = 300

#: A line and a column, as parso counts them.
Position: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Package:
    """What is changed, and which commands run until one notices."""

    #: Patterns of files.
    files: tuple[str, ...]
    commands: tuple[str, ...]


def _command(*words: str) -> str:
    return shlex.join([sys.executable, "-m", *words])


def _tests(names: str, but: str = "", only: str = "") -> str:
    chosen = f"not ({but})" if but else only
    files = ("tests/{}/test_{}.py".format(*name.split("/")) for name in names.split())
    return _command("pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", chosen, *files)


#: The first fifty random programs of so many.
_PROGRAMS = _command(
    "pytest",
    *("-x", "-q", "-p", "no:cacheprovider"),
    "tests/codegen/test_programs.py::test_random_programs_compute_what_their_graphs_say[0]",
)
_GENERATED = _command("archdsl", "compile", "--check")
_DEPLOYED = ("specs/googlenet.arch", "specs/torchvision/resnet.arch")
_DEAR_RUNS = "killed_run or two_processes"
PACKAGES = {
    "elaborate": Package(
        ("archdsl/elaborate/*.py",),
        (
            _tests(
                "elaborate/corpus layers/std elaborate/keep_going "
                "model/consistency recipe/recipe elaborate/initialization"
            ),
            _GENERATED,
            _tests("elaborate/faults text/fixes cli/configuration codegen/templates"),
            _PROGRAMS,
        ),
    ),
    "codegen": Package(
        ("archdsl/codegen/*.py",),
        (
            _GENERATED,
            _tests("codegen/miscompilations elaborate/initialization"),
            _PROGRAMS,
            _tests("codegen/codegen"),
            _tests("codegen/twins deployment/inference"),
        ),
    ),
    "deployment": Package(
        ("archdsl/deployment/*.py",),
        (
            _command("archdsl", "compile", "--inference", "--check", *_DEPLOYED),
            _tests("deployment/inference cli/compile"),
        ),
    ),
    "cost": Package(
        (
            "archdsl/model/cost.py",
            "archdsl/model/receptive_field.py",
            "archdsl/model/memory.py",
            "archdsl/model/model.py",
        ),
        (
            _tests("model/claims model/reference report/report layers/std elaborate/corpus"),
            _tests("model/receptive_field", but="random"),
            _GENERATED,
            _tests("model/memory", but="seed_network"),
        ),
    ),
    "report": Package(
        ("archdsl/report/*.py",),
        (
            _tests(
                "report/report report/diagnostics report/colours "
                "report/formats cli/check lints/lints elaborate/corpus"
            ),
            _tests(
                "elaborate/keep_going drawing/tables cli/cli "
                "notebook cli/fix_command torch_tools/prove"
            ),
            _tests("model/memory", only="check or json"),
            _tests("project/docs elaborate/initialization"),
        ),
    ),
    "train": Package(
        ("archdsl/train/*.py",),
        (
            _tests("train/run_report train/steps"),
            _tests(
                "train", but=f"{_DEAR_RUNS} or reads_digits or every_seed_network or overfits_64"
            ),
            _tests("train/train", only=_DEAR_RUNS),
        ),
    ),
    "data": Package(("archdsl/train/data/*.py",), (_tests("train/data train/images"),)),
}


# ── Kinds of change that Cosmic Ray lacks ────────────────────────────────────────────────────


def parsed(text: str) -> Any:
    return parso.parse(text)  # type: ignore[no-untyped-call]


class StatementGone(Operator):  # type: ignore[misc]
    """A call for its effect, an augmented assignment, a yield or a raise becomes ``pass``."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        if node.parent is None or node.parent.type != "simple_stmt":
            return
        last = getattr(node, "children", [node])[-1]
        is_call = node.type == "atom_expr" and last.type == "trailer" and last.children[0] == "("
        is_augmented = node.type == "expr_stmt" and node.children[1].type == "operator"
        is_augmented = is_augmented and node.children[1].value != "="
        if is_call or is_augmented or node.type in ("yield_expr", "raise_stmt"):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        return parsed(f"{node.get_first_leaf().prefix}pass")

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class ConditionFixed(Operator):  # type: ignore[misc]
    """An ``if`` whose branch is always taken, or never."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        if node.type == "if_stmt":
            for _ in range(2):
                yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[1] = parsed(f" {index == 0}")
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class ArgumentGone(Operator):  # type: ignore[misc]
    """A named argument of a call is left out, so that the default holds."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        if node.type == "argument" and node.children[1] == "=":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        return parsed(f"{node.get_first_leaf().prefix}*()")

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


plugins.OPERATOR_PROVIDERS["archdsl"] = {
    operator.__name__: operator for operator in (StatementGone, ConditionFixed, ArgumentGone)
}


#: ``is`` for ``==`` and the like: a warning of Python, or the same.
_IS = re.compile(r"Comparison.*_(?!(Is_IsNot|IsNot_Is)$)(Is(Not)?_\w+|\w+_Is(Not)?)$")


# ── Places ───────────────────────────────────────────────────────────────────────────────────


def draw(package: Package, each: int, seed: int) -> list[MutationSpec]:
    """Changes of a package, the same for the same seed; more of them begin with the fewer."""
    # By file, place and kind of change: all that can become of it.
    places: dict[tuple[str, Position, str], list[MutationSpec]] = {}
    for pattern in package.files:
        for path in sorted(Path().glob(pattern)):
            for change in _changes(path):
                kind = change.operator_name.partition("_")[0]
                places.setdefault((str(path), change.start_pos, kind), []).append(change)
    chance = random.Random(seed)
    keys = sorted(places)
    chance.shuffle(keys)
    return [chance.choice(places[key]) for key in keys[:each]]


def _changes(path: Path) -> Iterator[MutationSpec]:
    text = path.read_text("utf-8")
    nodes = list(ast_nodes(get_ast(text)))
    left = list(_left_alone(text))
    for name in sorted(plugins.operator_names()):
        operator_class = plugins.get_operator(name)
        if operator_class.arguments() or _IS.search(name):
            continue
        operator = operator_class()
        spans = (span for node in nodes for span in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(spans):
            if not any(first <= start < last for first, last in left):
                yield MutationSpec(path, name, occurrence, start, end, operator_args={})


def _left_alone(text: str) -> Iterator[tuple[Position, Position]]:
    lines = text.splitlines()

    def span(node: ast.AST) -> tuple[Position, Position]:
        # ast counts bytes.
        ends = ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
        first, last = (
            (line, len(lines[line - 1].encode()[:column].decode())) for line, column in ends
        )
        return first, last

    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Assert():
                yield span(node)
            case ast.arg(annotation=ast.expr() as annotation):
                yield span(annotation)
            case ast.AnnAssign(annotation=annotation):
                yield span(node if ast.unparse(annotation) == "TypeAlias" else annotation)
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                yield span(node)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield span(node)
            case ast.keyword(arg="strict"):
                yield span(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                (line, column), last = span(decorator)
                yield (line, column - 1), last
        if isinstance(node, ast.FunctionDef) and node.returns:
            yield span(node.returns)


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────


def copy_tree(folder: Path) -> None:
    """What git knows or would take, for changes that must not be seen in the tree itself."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    # Byte code that is compared by content: a changed file may have the time and size of before.
    by_hash = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(folder / "archdsl", quiet=2, invalidation_mode=by_hash)


def find_unready(package: Package) -> str | None:
    """A command that fails, or takes too long, where nothing is changed."""
    for command in package.commands:
        outcome, output = run_tests(command, MAX_SECONDS / 2)
        if outcome is not TestOutcome.SURVIVED:
            return f"{command}\n{output}"
    return None


def results_of(db: WorkDB, name: str, changes: list[MutationSpec]) -> Iterator[WorkResult]:
    """The result of each change of a package, from the session where it has one."""
    known = {job: result for job, result in db.results if job.startswith(f"{name} ")}
    if not known and (unready := find_unready(PACKAGES[name])):
        sys.exit(f"where nothing is changed: {unready}")
    for change in changes:
        job = f"{name} {change.module_path} {change.operator_name} {change.occurrence}"
        if job not in known:
            known[job] = result_of(change, PACKAGES[name].commands)
            db.add_work_item(WorkItem.single(job, change))
            db.set_result(job, known[job])
        yield known[job]


def result_of(change: MutationSpec, commands: tuple[str, ...]) -> WorkResult:
    for command in commands:
        result = mutate_and_test([change], command, MAX_SECONDS)
        if result.worker_outcome is not WorkerOutcome.NORMAL:
            raise RuntimeError(f"{change}: {result.output}")
        if result.test_outcome is not TestOutcome.SURVIVED:
            break
    return result


def shown(change: MutationSpec, result: WorkResult) -> str:
    lines = [line for line in (result.diff or "").splitlines() if line[:1] in "+-"]
    changed = "\n".join(f"    {line}" for line in lines if line[:3] not in ("---", "+++"))
    return f"{change.module_path}:{change.start_pos[0]} {change.operator_name}\n{changed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="PACKAGE", help=f"of {', '.join(PACKAGES)}")
    parser.add_argument("--each", type=int, default=30, help="how many changes of each")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    parser.add_argument("--session", type=Path, help="a file that keeps the results")
    options = parser.parse_args()
    if unknown := set(options.names) - set(PACKAGES):
        parser.error(f"no package {', '.join(sorted(unknown))}")
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        session = (options.session or folder / "session.sqlite").resolve()
        copy_tree(folder)
        os.chdir(folder)
        os.environ |= {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        with use_db(session) as db:
            return measure(db, options.names or list(PACKAGES), options.each, options.seed)


def measure(db: WorkDB, names: list[str], each: int, seed: int) -> int:
    rows = []
    unnoticed: list[str] = []
    for name in names:
        changes = draw(PACKAGES[name], each, seed)
        before = len(unnoticed)
        for change, result in zip(changes, results_of(db, name, changes), strict=True):
            is_noticed = result.test_outcome is not TestOutcome.SURVIVED
            text = shown(change, result)
            print("noticed  " if is_noticed else "UNNOTICED", text, flush=True)
            if not is_noticed:
                unnoticed.append(text)
        survivors = len(unnoticed) - before
        rows.append((name, len(changes), len(changes) - survivors, survivors))
    print("\n" + "\n".join(unnoticed))
    print(f"\n{'package':<16}{'changes':>10}{'noticed':>10}{'unnoticed':>10}")
    for name, *numbers in rows:
        print(f"{name:<16}" + "".join(f"{number:>10}" for number in numbers))
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
