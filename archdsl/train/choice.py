"""Which folder a run goes to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from archdsl.model import Model
from archdsl.train.faults import TrainFault
from archdsl.train.folder import LAST
from archdsl.train.options import Options

#: Tells the processes that Lightning starts which folder the first has chosen.
_CHOSEN = "ARCHDSL_RUN_FOLDER"


def choose_folder(model: Model, options: Options) -> Path:
    """The folder of a run, made and writable: the named one, the last to resume, or a new one.

    Errors:
        TrainFault: where it cannot be written, or where processes started by torchrun or SLURM
        would each choose their own.
    """
    folder = _choose(model, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # each process its own
            probe.write(b"x" * 4096)
    except OSError as error:
        raise TrainFault(f"cannot write to {folder}: {error.strerror}") from None
    os.environ[_CHOSEN] = str(folder)
    return folder


def _choose(model: Model, options: Options) -> Path:
    base = options.output / (options.name or model.name.lower())
    if isinstance(options.resume, Path):
        return options.resume.parent.parent if options.resume.suffix else options.resume
    if options.name is not None:
        return base
    if "LOCAL_RANK" in os.environ and _CHOSEN in os.environ:
        return Path(os.environ[_CHOSEN])
    if int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1) > 1:
        raise TrainFault("several processes need one folder: pass --name")
    if options.resume == "auto":
        return _latest(base)
    folder, count = base, 1
    while folder.exists() and any(folder.iterdir()):
        count += 1
        folder = base.with_name(f"{base.name}-{count}")
    return folder


def _latest(base: Path) -> Path:
    """The newest run of this name that has a checkpoint; where there is none, the name itself."""
    found = [path for path in base.parent.glob(f"{base.name}*") if _is_run_of(path, base)]
    return max(found, key=lambda path: _checkpoint(path).stat().st_mtime, default=base)


def _is_run_of(path: Path, base: Path) -> bool:
    number = path.name.removeprefix(f"{base.name}-")
    return (path.name == base.name or number.isdecimal()) and _checkpoint(path).exists()


def _checkpoint(path: Path) -> Path:
    return path / "checkpoints" / LAST
