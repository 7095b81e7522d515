"""Which folder a run goes to."""

from __future__ import annotations

import ast
import io
import os
import tempfile
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

from filelock import FileLock, Timeout

from archdsl.model import Model
from archdsl.train.checkpoints import remove_leftovers
from archdsl.train.errors import TrainError
from archdsl.train.folder import LAST, RunFolder
from archdsl.train.options import TrainOptions

#: Tells the processes that Lightning starts which folder the first has chosen.
_CHOSEN = "ARCHDSL_RUN_FOLDER"


def choose_folder(model: Model, options: TrainOptions) -> Path:
    """The folder of a run, made and writable: that of the last one to resume, or a new one.

    Errors:
        TrainError: where it cannot be written, or where processes started by torchrun or SLURM
        would each choose their own, or one that is taken.
    """
    folder = _choose(model, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # each process its own
            probe.write(b"x" * 4096)
    except OSError as error:
        raise TrainError(f"cannot write to {folder}: {error.strerror}") from None
    os.environ[_CHOSEN] = str(folder)
    return folder


def refuse_name(name: str | None) -> None:
    """Refuse a name that is not that of a folder below the output. Errors: ``TrainError``."""
    if name is not None and (name in ("", ".", "..") or any(sign in name for sign in "/\\\0")):
        raise TrainError(
            f"`--name` is the name of a folder, which {name!r} is not: --output says where it is"
        )


def is_checkpoint(path: Path) -> bool:
    """Whether what is to be resumed is a file, not the folder of a run."""
    return path.is_file() or (path.suffix == ".ckpt" and not path.is_dir())


@contextmanager
def hold(run: RunFolder) -> Iterator[None]:
    """Keep other processes from training in the folder. Errors: ``TrainError`` where one does."""
    if not _is_first_process():
        yield
        return
    lock = FileLock(run.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise TrainError(f"another process trains in {run.folder}") from None
    except (OSError, NotImplementedError):  # not every file system has locks
        yield
        return
    try:
        remove_leftovers(run)
        yield
    finally:
        # A run that was refused leaves nothing.
        if run.folder.is_dir() and list(run.folder.iterdir()) == [run.lock]:
            run.lock.unlink()
            run.folder.rmdir()
        lock.release()


def refuse_another(run: RunFolder, network: str, module_source: str) -> None:
    """Refuse to resume a run with another network; comments of the spec may change.

    Errors:
        TrainError: where the folder is not that of a run, or is that of another network, with what
            differs.
    """
    facts = run.read_facts()
    if facts.get("network") != network:
        raise TrainError(f"{run.folder} is a run of {facts.get('network')}, not of {network}")
    try:
        before, now = (_code_of(text) for text in (run.module.read_text("utf-8"), module_source))
    except (OSError, ValueError, SyntaxError, tokenize.TokenError):
        raise TrainError(f"{run.module} cannot be read: the run cannot continue") from None
    for old, new in zip_longest(before, now, fillvalue=""):
        if old != new:
            changed = f"`{new}` was `{old}`" if old and new else f"`{old or new}`"
            raise TrainError(
                f"{run.folder} began with another {network}: {changed}; train it as a new run, or "
                f"continue with the spec in that folder"
            )


def _code_of(source: str) -> list[str]:
    """The lines of a module, stripped, without comments and docstrings."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        if ast.get_docstring(node) is not None:
            said = node.body[0]
            end = said.end_lineno or said.lineno
            lines[said.lineno - 1 : end] = [""] * (end - said.lineno + 1)
    return [line.strip() for line in lines if line.strip()]


def _choose(model: Model, options: TrainOptions) -> Path:
    base = options.output / (options.name or model.name.lower())
    if isinstance(options.resume, Path):
        path = options.resume
        if not path.exists():
            raise TrainError(f"there is no checkpoint {path}")
        return Path(os.path.abspath(path)).parent.parent if is_checkpoint(path) else path
    is_started_here = "LOCAL_RANK" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ
    if is_started_here and _CHOSEN in os.environ:
        return Path(os.environ[_CHOSEN])
    if _process_count() > 1:
        if options.name is None:
            raise TrainError("several processes need one folder: pass --name")
        # The others may come after the first has begun.
        if options.resume is None and _is_first_process() and _is_taken(base):
            raise TrainError(f"{base} is taken: pass another --name, or --resume auto to resume it")
        return base
    if options.resume == "auto":
        folder = _latest(base) if options.name is None else base
        here = RunFolder(folder)
        if _is_others(folder) and not (here.facts.exists() or here.last.exists()):
            raise TrainError(f"{folder} has files that are not those of a run: pass another --name")
        return folder
    folder, count = base, 1
    while not _claim(folder):
        count += 1
        folder = base.with_name(f"{base.name}-{count}")
    return folder


def _claim(folder: Path) -> bool:
    """Make a folder, which only one of several runs can do; or take one that is empty."""
    try:
        folder.mkdir(parents=True)
        RunFolder(folder).lock.touch()
    except OSError:  # it exists; other errors are reported when it is written to
        return not _is_taken(folder)
    return True


def _process_count() -> int:
    """How many processes torchrun or SLURM has started."""
    return int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1)


def _is_first_process() -> bool:
    numbers = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((number for number in numbers if number), "0") == "0"


def _is_taken(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _is_others(folder: Path) -> bool:
    """Whether a folder holds more than what a run leaves if it is killed before it has begun."""
    return folder.is_dir() and any(path.name[0] != "." for path in folder.iterdir())


def _latest(base: Path) -> Path:
    """The newest run of this name that has a checkpoint; where there is none, the name itself."""
    found = [path for path in base.parent.glob(f"{base.name}*") if _is_run_of(path, base)]
    return max(found, key=lambda path: _checkpoint(path).stat().st_mtime, default=base)


def _is_run_of(path: Path, base: Path) -> bool:
    number = path.name.removeprefix(f"{base.name}-")
    return (path.name == base.name or number.isdecimal()) and _checkpoint(path).exists()


def _checkpoint(path: Path) -> Path:
    return path / "checkpoints" / LAST
