"""The processes of a run, which Lightning Fabric starts and joins, and what they agree on."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from archdsl.train.errors import TrainError
from archdsl.train.options import PRECISIONS, TrainOptions


def start_processes(options: TrainOptions) -> Fabric:
    """Start the processes that the flags ask for, or join those that torchrun or SLURM started.

    Errors:
        TrainError: for a device or a precision that is not available here.
    """
    _quieten()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise TrainError("there is no CUDA device here; --device auto takes what there is")
    if options.device == "mps" and not torch.backends.mps.is_available():
        raise TrainError("there is no MPS device here; --device auto takes what there is")
    has_gpu = torch.cuda.is_available() and options.device in ("auto", "cuda")
    if options.precision == "16" and not has_gpu:
        # Fabric would take bf16 instead.
        raise TrainError("`--precision 16` needs a CUDA device; on a CPU there is `bf16`")
    if options.sync_bn and not has_gpu:
        raise TrainError("`--sync-bn` needs CUDA devices: PyTorch has it for no other")
    devices = options.devices or _count_of_torchrun() or "auto"
    strategy = _sharding(devices, options) if options.strategy == "fsdp" else options.strategy
    try:
        fabric = Fabric(
            accelerator={"cuda": "gpu"}.get(options.device, options.device),
            devices=devices,
            num_nodes=options.num_nodes,
            strategy=strategy,
            precision=PRECISIONS[options.precision],  # type: ignore[arg-type]
        )
        fabric.launch()
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise TrainError(" ".join(str(error).split())) from None
    return fabric


def _quieten() -> None:
    """Silence what Fabric announces on every run, and its advice on what the user has chosen."""
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning_fabric\..*")
    warnings.filterwarnings("ignore", message="This DataLoader will create")


def _count_of_torchrun() -> int | None:
    """How many processes torchrun has started on this machine."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    return int(os.environ["LOCAL_WORLD_SIZE"])


def _sharding(devices: int | str, options: TrainOptions) -> ModelParallelStrategy:
    """Weights, gradients and the optimizer's state spread over all processes (FSDP2)."""
    local = devices if isinstance(devices, int) else max(torch.cuda.device_count(), 1)
    return ModelParallelStrategy(
        _shard, data_parallel_size=local * options.num_nodes, tensor_parallel_size=1
    )


def _shard(network: nn.Module, mesh: Any) -> nn.Module:
    """Gather the weights of one part of the network at a time."""
    from torch.distributed.fsdp import fully_shard

    over = mesh["data_parallel"]
    for part in _parts_of(network):
        fully_shard(part, mesh=over)
    fully_shard(network, mesh=over)
    return network


def _parts_of(network: nn.Module) -> Iterator[nn.Module]:
    for child in network.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _parts_of(child)  # a list is never called itself
        elif any(True for _ in child.parameters()):
            yield child


def add_up(fabric: Fabric, numbers: list[float]) -> list[float]:
    """The sums over all processes."""
    if fabric.world_size == 1:
        return numbers
    own = torch.tensor(numbers, dtype=torch.float64, device=fabric.device)
    total = fabric.all_reduce(own, reduce_op="sum")
    found: list[float] = total.tolist()  # type: ignore[union-attr]
    return found


def end_processes() -> None:
    """Disconnect from the other processes: the connections have threads that must end first."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def share_buffers(fabric: Fabric, network: nn.Module) -> None:
    """Give all processes the first one's buffers: their batch normalizations saw other images.

    DDP does the same in each step; FSDP does not.
    """
    if fabric.world_size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)


class Agreement:
    """Whether any process has been told to stop: asked in each step, so that all stop together."""

    def __init__(self, fabric: Fabric) -> None:
        self.is_alone = fabric.world_size == 1
        # A GPU's own group would have to wait for the GPU.
        self.group: Any = None if self.is_alone else torch.distributed.new_group(backend="gloo")

    def most(self, number: int) -> int:
        """The largest of the numbers of all processes."""
        if self.is_alone:
            return number
        asked = torch.tensor(number)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX, group=self.group)
        return int(asked)


@contextmanager
def telling_of_lost_processes(fabric: Fabric) -> Iterator[None]:
    """Say in one line that another process has died, which takes torch a page.

    At the end, disconnect from the other processes.
    """
    try:
        yield
    except BaseException as error:
        if torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo":
            end_processes()  # NCCL would wait for processes that are gone
        if fabric.world_size == 1 or not _is_of_connection(error):
            raise
        raise TrainError(
            f"process {fabric.global_rank} lost another process of the run: that one has died, or "
            "the connection has; resume with `--resume auto`"
        ) from None
    end_processes()


def _is_of_connection(error: BaseException) -> bool:
    if not isinstance(error, RuntimeError):
        return False
    if isinstance(error, torch.distributed.DistBackendError | torch.distributed.DistNetworkError):
        return True
    text = str(error).lower()
    return any(word in text for word in ("connection closed", "connection reset", "gloo", "nccl"))
