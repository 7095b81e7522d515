"""What a run saves: checkpoints to resume from, weights to use, and logs and reports to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)

from archdsl.train.averaging import Averaging
from archdsl.train.checkpoints import (
    FORMAT,
    SHARDS,
    read_shards,
    write_atomically,
    write_checkpoint,
    write_shards,
)
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.logs import Logs
from archdsl.train.loop import Progress, TrainingLoop, Watcher
from archdsl.train.options import TrainOptions
from archdsl.train.report import write_report
from archdsl.train.resuming import Resumed
from archdsl.train.task import load_optimizer
from archdsl.train.trackers import Tracker

State = dict[str, Any]


class Keeper(Watcher):
    """Saves a run at each epoch, and during one where it is told to."""

    def __init__(
        self,
        run: RunFolder,
        fabric: Fabric,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        options: TrainOptions,
        progress: Progress,
        average: Averaging | None,
        told: State,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        self.run = run
        self.fabric = fabric
        self.network = network
        self.optimizer = optimizer
        self.average = average
        #: Recipe, flags and data, with which a resumed run is compared.
        self.told = told
        self.is_sharded = options.strategy == "fsdp"
        self.logs: Logs | None = None
        self.trackers = trackers
        if fabric.is_global_zero and not options.dry_run:
            self.logs = Logs(run, options.log, progress.history)
            self.logs.write_table(progress.history)

    def on_epoch(self, loop: TrainingLoop) -> None:
        progress = loop.progress
        is_best = progress.best == progress.epoch - 1
        # After a crash between the two, the epoch is run again and gives the same weights.
        if is_best:
            self._write_weights(self.run.weights)
        self._save(progress, is_best=is_best)
        if self.logs is not None:
            self.logs.write(progress.history)
        for tracker in self.trackers:
            tracker.log(progress.history[-1])

    def on_checkpoint(self, loop: TrainingLoop) -> None:
        self._save(loop.progress, is_best=False)

    def finish(self, loop: TrainingLoop) -> None:
        """Write the last weights and the report, whether the run is over or stopped."""
        self._write_weights(self.run.last_weights)
        if self.logs is not None:
            self.logs.close()
            for tracker in self.trackers:
                tracker.close()
            write_report(self.run, loop.progress.history)

    @contextmanager
    def telling_of_failure(self) -> Iterator[None]:
        """Tell the trackers where the run fails inside; its last checkpoint stays as it is."""
        try:
            yield
        except Exception:
            for tracker in self.trackers:
                tracker.close(has_failed=True)
            raise

    def _save(self, progress: Progress, *, is_best: bool) -> None:
        precision: State = self.fabric.strategy.precision.state_dict()
        state: State = {
            "format": FORMAT,
            "epoch": progress.epoch,
            "step": progress.step,
            "steps": progress.steps,
            "sums": progress.sums,
            "spent": progress.spent,
            "history": progress.history,
            "told": self.told,
            "precision": precision,
        }
        if self.is_sharded:
            parts = _parts(self.network, self.optimizer)
            # Never the name of an existing one: that stays until the new one is complete.
            name = f"{SHARDS}-{progress.steps:09}-{token_hex(4)}"
            state[SHARDS] = self.fabric.broadcast(name)
            write_shards(self.run, parts, state[SHARDS])
        elif self.fabric.is_global_zero:
            state["network"] = self.network.state_dict()
            state["optimizer"] = self.optimizer.state_dict()
            if self.average is not None:
                state |= self.average.state_dict()
        if self.fabric.is_global_zero:
            write_checkpoint(self.run, state, is_best=is_best)

    def _write_weights(self, path: Path) -> None:
        # With sharded weights, no process has them all: every process takes part.
        network = self.network if self.average is None else self.average.network
        state = full_state(network) if self.is_sharded else network.state_dict()
        if not self.fabric.is_global_zero:
            return
        weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        write_atomically(path, lambda target: save_file(weights, target))


def full_state(network: nn.Module) -> State:
    """All weights of a network whose weights are sharded; only the first process gets them."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(network, options=options)


def _parts(network: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    weights, gathered = get_state_dict(network, optimizer)
    return {"network": weights, "optimizer": gathered}


def restore(
    resumed: Resumed,
    fabric: Fabric,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Averaging | None,
) -> Progress:
    """Restore a network, its optimizer and its average from a checkpoint.

    Errors:
        TrainError: where they do not fit, or were written with another strategy.
    """
    state, path = resumed.state, resumed.path
    is_sharded = any(hasattr(tensor, "full_tensor") for tensor in network.parameters())
    if is_sharded != (SHARDS in state):
        wanted = "with" if SHARDS in state else "without"
        raise TrainError(f"{path} was written {wanted} `--strategy fsdp`: resume it likewise")
    try:
        if is_sharded:
            parts = _parts(network, optimizer)
            read_shards(path, parts, state[SHARDS])
            settings = [dict(group) for group in optimizer.param_groups]
            set_state_dict(
                network,
                optimizer,
                model_state_dict=parts["network"],
                optim_state_dict=parts["optimizer"],
            )
            for group, own in zip(optimizer.param_groups, settings, strict=True):
                group.update({name: own[name] for name in own if name != "params"})
        else:
            network.load_state_dict(state["network"])
            load_optimizer(optimizer, state["optimizer"])
            if average is not None:
                average.load_state_dict(state)
        if state["precision"]:
            fabric.strategy.precision.load_state_dict(state["precision"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise TrainError(f"{path} does not fit the network: {error}") from None
    return resumed.progress
