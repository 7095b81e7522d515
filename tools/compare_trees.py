"""Compare what two checkouts make of the same specs, byte for byte.

    git worktree add /tmp/before main
    python tools/compare_trees.py /tmp/before .

For changes that are to change nothing. Both compile, deploy, draw in every style and format, check,
format and show the same files: those of ``specs/``, the faulty texts of the corpus, the programs
that once failed, and random ones. Files and printed texts that differ are listed, and the exit
code is then 1. The first checkout gives the specs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import copy, copytree
from tempfile import TemporaryDirectory

#: What each checkout is asked, beside the specs, with ``{out}`` for the folder of its answers.
QUESTIONS = {
    "compile": "compile specs --output {out}/",
    "compile-inference": "compile --inference specs --output {out}/",
    "compile-programs": "compile programs --output {out}/",
    "deploy-programs": "compile --inference programs --output {out}/",
    "check": "check specs --training",
    "check-json": "check specs --format json",
    "check-programs": "check programs",
    "fmt": "fmt --diff faulty programs",
    "fmt-volumes": "fmt --diff --volumes specs programs",
    "layers": "layers --format md",
    "layers-text": "layers conv maxpool concat",
    "explain": "explain --format md",
    "draw": "draw specs --output {out}/",
    "draw-a4": "draw specs --fit a4 --output {out}/",
    "draw-slide": "draw specs --fit slide --color-by params --legend on --output {out}/",
    "draw-depth": "draw specs --depth 0 --names --shapes all --output {out}/",
    "draw-flat": "draw specs --flat --direction right --theme dark --output {out}/",
    "draw-programs": "draw programs --output {out}/",
    "draw-pdf": "draw specs --fit column --format pdf --output {out}/",
    "draw-png": "draw specs --depth 1 --format png --output {out}/",
    "draw-tikz": "draw specs --format tikz --output {out}/",
    "draw-dot": "draw specs --format dot --output {out}/",
    "draw-html": "draw specs --format html --output {out}/",
    "volumes": "draw specs --style volumes --output {out}/",
    "volumes-slide": "draw specs --style volumes --fit slide --color-by macs --output {out}/",
    "volumes-tikz": "draw specs --style volumes --scale linear --format tikz --output {out}/",
    "table-txt": "draw specs --style table --output {out}/",
    "table-md": "draw specs --style table --format md --output {out}/",
    "table-tex": "draw specs --style table --format tex --output {out}/",
    "table-csv": "draw specs --style table --format csv --output {out}/",
    "table-svg": "draw specs --style table --format svg --output {out}/",
}
#: What is asked about faulty texts; ``{input}`` is the volume that a folder of them is for.
FAULTY = {
    "check": "check faulty/{input} {option}",
    "json": "check faulty/{input} {option} --format json",
    "github": "check faulty/{input} {option} --format github",
    "sarif": "check faulty/{input} {option} --format sarif",
    "fix": "check faulty/{input} {option} --fix --diff",
    "fix-unsafe": "check faulty/{input} {option} --fix --unsafe-fixes --diff",
    "keep-going": "draw faulty/{input} {option} --keep-going --output {out}/",
}
STAGES = ("syntax", "graph", "model")
COMMANDS = (
    "check fmt draw compile export train evaluate predict weights show layers explain completion"
)


@dataclass(frozen=True)
class Answer:
    """What a checkout printed and wrote: texts by what was asked, and sums of files by path."""

    exits: dict[str, int]
    texts: dict[str, str]
    files: dict[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", help="only questions whose name begins with this")
    parser.add_argument("--random", type=int, default=40, help="random programs (40)")
    parser.add_argument("--keep", type=Path, help="a folder to leave all answers in")
    arguments = parser.parse_args()
    with TemporaryDirectory() as made:
        folder = arguments.keep or Path(made)
        _gather(arguments.before.resolve(), folder / "inputs", arguments.random)
        questions = list(_asked(folder / "inputs", arguments.only or ""))
        answers = [
            _ask(tree.resolve(), folder / side, folder, questions)
            for side, tree in (("before", arguments.before), ("after", arguments.after))
        ]
        return _compare(*answers)


def _asked(inputs: Path, beginning: str) -> Iterator[tuple[str, str]]:
    asked = dict(QUESTIONS)
    asked |= {f"help-{command}": f"{command} --help" for command in COMMANDS.split()}
    for folder in sorted((inputs / "faulty").iterdir()):
        option = "" if folder.name == "none" else f"--input {folder.name}"
        for name, line in FAULTY.items():
            words = line.replace("{input}", folder.name).replace("{option}", option)
            asked[f"faulty-{name}-{folder.name}"] = words
    for stage in STAGES:
        for spec in ("googlenet", "vgg", "nin_cifar10", "torchvision/resnet"):
            asked[f"show-{stage}-{spec.replace('/', '-')}"] = (
                f"show --stage {stage} specs/{spec}.arch"
            )
    return ((name, line) for name, line in asked.items() if name.startswith(beginning))


def _gather(tree: Path, inputs: Path, count: int) -> None:
    """Put together the texts that are asked about: specs, faulty ones, programs."""
    (inputs / "programs").mkdir(parents=True)
    copytree(tree / "specs", inputs / "specs")
    for page in sorted(tree.rglob("tests/**/corpus/*.md")):
        texts = re.findall(
            r"```arch(?: input=(\w+))?\n(.*?)```", page.read_text("utf-8"), re.DOTALL
        )
        for number, (input, text) in enumerate(texts):
            folder = inputs / "faulty" / (input or "none")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{page.stem}_{number:03}.arch").write_text(text, "utf-8")
    for program in sorted(tree.rglob("tests/**/programs_found/*.arch")):
        copy(program, inputs / "programs")
    script = (
        "import sys; from pathlib import Path; from programs.generate import generate\n"
        "for seed in range(int(sys.argv[2])):\n"
        "    text = str(generate(seed)[0])\n"
        "    Path(sys.argv[1], f'random_{seed:04}.arch').write_text(text, 'utf-8')\n"
    )
    command = [sys.executable, "-c", script, str(inputs / "programs"), str(count)]
    environment = _environment(tree)
    environment["PYTHONPATH"] += os.pathsep + str(tree / "tests")
    subprocess.run(command, check=True, env=environment)


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "100", "NO_COLOR": "1"}


def _ask(tree: Path, out: Path, folder: Path, questions: list[tuple[str, str]]) -> Answer:
    def ask(question: tuple[str, str]) -> tuple[str, int, str]:
        name, line = question
        target = out / name
        target.mkdir(parents=True, exist_ok=True)
        words = [word.format(out=target) for word in line.split()]
        run = subprocess.run(
            [sys.executable, "-m", "archdsl", *words],
            cwd=folder / "inputs",
            env=_environment(tree),
            capture_output=True,
            text=True,
            check=False,
        )
        text = (run.stdout + run.stderr).replace(str(out), "OUT").replace(str(tree), "TREE")
        return name, run.returncode, text

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(ask, questions))
    for name, _, text in found:
        (out / name / "printed.txt").write_text(text, "utf-8")
    files = {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    return Answer(
        {name: code for name, code, _ in found}, {name: text for name, _, text in found}, files
    )


def _compare(before: Answer, after: Answer) -> int:
    differing = [
        path
        for path in sorted({*before.files, *after.files})
        if before.files.get(path) != after.files.get(path)
    ]
    exits = [name for name, code in before.exits.items() if after.exits.get(name) != code]
    crashed = [
        name
        for name, text in before.texts.items()
        if "Traceback" in text or "Traceback" in after.texts.get(name, "")
    ]
    for path in differing:
        print(f"differs: {path}")
    for name in exits:
        print(f"exit code: {name}: {before.exits[name]} and {after.exits[name]}")
    for name in crashed:
        print(f"a traceback: {name}")
    same = len(before.files) - sum(path in before.files for path in differing)
    print(f"{same} of {len(before.files)} files and printed texts are the same")
    return 1 if differing or exits or crashed else 0


if __name__ == "__main__":
    sys.exit(main())
