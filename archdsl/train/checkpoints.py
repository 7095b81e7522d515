"""Checkpoints: everything that a run needs to continue, complete or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from archdsl.torch_tools.weights import UNREADABLE
from archdsl.train.errors import TrainError
from archdsl.train.folder import BEST, LAST, RunFolder

#: The version of what is in a checkpoint.
FORMAT = 1
#: In a checkpoint of several processes that share the weights: the folder of their parts.
SHARDS = "shards"

#: What every checkpoint has, and of which type it is.
_FACTS = {
    "epoch": int,
    "step": int,
    "steps": int,
    "sums": list,
    "spent": list,
    "history": list,
    "told": dict,
}


def write_atomically(path: Path, write: Callable[[str], Any]) -> None:
    """Let ``write`` fill a temporary file, then put it in place at once.

    Errors:
        TrainError: where the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # On a full disk, torch.save only says that its zip writer failed.
        raise TrainError(f"cannot write {path}: {_reason(error)}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Put a text in place at once. Errors: as for ``write_atomically``."""
    write_atomically(path, lambda target: Path(target).write_text(text, "utf-8"))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _umask() -> int:
    """The permissions that the user withholds from new files."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; tensors are read from the file when they are used.

    Errors:
        TrainError: where it cannot be read, or is not that of a run. Nothing pickled is executed.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise TrainError(f"there is no checkpoint {path}") from None
    except (OSError, *UNREADABLE):
        raise TrainError(f"{path} is not a checkpoint of a run, or incomplete") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise TrainError(f"{path} is not a checkpoint of this version of archdsl")
    for name, kind in _FACTS.items():
        if not isinstance(found.get(name), kind):
            raise TrainError(f"{path} is not a checkpoint of a run: it lacks `{name}`")
    return found


def write_checkpoint(run: RunFolder, state: dict[str, Any], *, is_best: bool) -> None:
    """Write the last checkpoint of a run, by one process; the best is the same file.

    Errors:
        TrainError: where it cannot be written; the previous one stays.
    """
    write_atomically(run.last, lambda target: torch.save(state, target))
    if is_best:
        copy_checkpoint(run.last, run.best)
    _forget_shards(run)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Give a checkpoint a second place. Errors: as for ``write_atomically``."""
    # A second name costs nothing, and neither changes when the other is replaced.
    write_atomically(target, lambda temporary: _copy(source, Path(temporary)))


def remove_leftovers(run: RunFolder) -> None:
    """Remove what a killed process was writing; done by the process that holds the folder."""
    names = (path.name for path in run.files)
    for name in names:
        for folder in (run.folder, run.checkpoints):
            for path in folder.glob(f".{name}.*"):
                path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    target.unlink()
    try:
        os.link(source, target)
    except OSError:  # not every file system has links
        shutil.copyfile(source, target)


# ── Several processes that share the weights ─────────────────────────────────────────────────


def write_shards(run: RunFolder, parts: dict[str, Any], name: str) -> None:
    """Let each process write its parts of the tensors into a new folder of this name.

    Errors:
        TrainError: where one of them cannot write.
    """
    from torch.distributed import checkpoint  # not needed by one process, and large
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        checkpoint.save(parts, checkpoint_id=run.checkpoints / name)  # type: ignore[attr-defined]
    except (OSError, RuntimeError, CheckpointException) as error:
        raise TrainError(f"cannot write {run.checkpoints / name}: {error}") from error


def read_shards(path: Path, parts: dict[str, Any], name: str) -> None:
    """Fill tensors with what the processes wrote, however many processes there are now.

    Errors:
        TrainError: where a part is missing or of another shape.
    """
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.api import CheckpointException

    folder = path.parent / Path(name).name
    try:
        checkpoint.load(parts, checkpoint_id=folder)  # type: ignore[attr-defined]
    except (OSError, RuntimeError, ValueError, CheckpointException) as error:
        raise TrainError(f"{folder} does not fit, or is incomplete: {error}") from None


def _forget_shards(run: RunFolder) -> None:
    """Remove the parts that no checkpoint needs any more."""
    folders = {path.name: path for path in run.checkpoints.glob(f"{SHARDS}-*")}
    if not folders:
        return
    for name in (LAST, BEST):
        path = run.checkpoints / name
        if path.exists():
            folders.pop(read_checkpoint(path).get(SHARDS, ""), None)
    for path in folders.values():
        shutil.rmtree(path, ignore_errors=True)
