"""Checkpoints that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from archdsl.train.faults import TrainFault


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames: a crash or a full disk never harms the last one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        write_atomically(Path(path), lambda target: torch.save(checkpoint, target))


def write_atomically(path: Path, write: Any) -> None:
    """Let ``write`` fill a temporary file, then put it in place at once.

    Errors:
        TrainFault: where the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch.save says of a full disk that its zip writer failed.
        raise TrainFault(f"cannot write {path}: {error}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    """What the user takes from the permissions of new files."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
