"""Memory of training: each rule against what autograd saves, on a CPU and as a GPU would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from conftest import ROOT
from hypothesis import assume, given, settings
from oracle import build
from random_networks import networks
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

import archdsl
from archdsl.cli.commands import commands
from archdsl.cli.options import MemorySize
from archdsl.layers import REGISTRY
from archdsl.layers.activation import Softmax
from archdsl.layers.regularization import Dropout
from archdsl.model import Model
from archdsl.model.memory import Precision, estimate_memory
from archdsl.recipe import OPTIONS, Recipe, RecipeRole, averages, optimizers
from archdsl.recipe.losses import MeanSquaredError
from archdsl.torch_tools.inputs import draw_inputs
from archdsl.train.averaging import Averaging

BATCH = 2
MODELS = [
    pytest.param(model, id=model.name)
    for path in sorted((ROOT / "specs").glob("*.arch"))
    for model in archdsl.load_all(path)
]
#: Each example bare, behind a trained layer, through which its input needs a gradient, and before
#: a layer that keeps its input as it is: the example's result.
EXAMPLES = [
    pytest.param(text, example.input, id=f"{text} on {'x'.join(map(str, example.input))}")
    for layer in REGISTRY.values()
    for example in layer.examples
    for behind in [f"linear {example.input[-1]}; {example.text}"]
    for text in (example.text, *(() if layer.reads_words else (behind, f"{behind}; leakyrelu")))
]
#: Layers of which cuDNN keeps what it needs, in one piece of memory.
RECURRENT = {"lstm", "gru"}


def _skip(model: Model, names: set[str], reason: str) -> None:
    if names & {node.layer.name for node in model.layers}:
        pytest.skip(reason)


# ── The judge ────────────────────────────────────────────────────────────────────────────────


@dataclass
class Seen:
    """The memory that autograd keeps, each storage once, without the network's own."""

    network: nn.Module
    tensors: list[Tensor] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    weight_copies: int = 0

    def __post_init__(self) -> None:
        own = (*self.network.parameters(), *self.network.buffers())
        self.own = {_storage(tensor) for tensor in own}

    def add(self, tensor: Tensor) -> Tensor:
        storage, size = _storage(tensor), tensor.untyped_storage().nbytes()
        is_number = tensor.ndim == 0  # a factor in the code, or what a mean is divided by
        if storage in self.own or storage in self.sizes or is_number:
            return tensor
        self.tensors.append(tensor)  # alive, so that its storage is not given to another
        if _is_copy_of_parameter(tensor):
            self.own.add(storage)
            self.weight_copies += size
        else:
            self.sizes[storage] = size
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _is_copy_of_parameter(tensor: Tensor) -> bool:
    """Whether a tensor is what autocast made of a weight, or a view of it."""
    step: Any = tensor.grad_fn
    while step is not None and step.name() in ("TBackward0", "ToCopyBackward0", "ViewBackward0"):
        step = step.next_functions[0][0]
    return step is not None and step.name() == "torch::autograd::AccumulateGrad"


def _loss(output: Any, labels: Tensor, model: Model, recipe: Recipe) -> Tensor:
    """What `archdsl train` computes: the losses of the trunk and of all heads."""
    outputs = (output,) if isinstance(output, Tensor) else tuple(output)
    return sum((_loss_of(one.float(), labels, model, recipe) for one in outputs), torch.zeros(()))


def _loss_of(output: Tensor, labels: Tensor, model: Model, recipe: Recipe) -> Tensor:
    if isinstance(recipe.loss, MeanSquaredError):
        one_hot = functional.one_hot(labels, output.shape[1])
        return functional.mse_loss(output, one_hot.to(output)).cpu()
    if isinstance(model.nodes[model.chain.output].layer, Softmax):
        output = output.clamp_min(torch.finfo(output.dtype).tiny).log()
    return functional.cross_entropy(output, labels, label_smoothing=recipe.loss.smoothing).cpu()


def _build(model: Model, device: str) -> nn.Module:
    """The generated network; on a CPU with zeros for weights, which are made sooner."""
    if device != "cpu":
        return build(model, device)
    network = build(model, "meta").to_empty(device=device)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.zero_()
    return network


def measure(
    model: Model,
    batch: int,
    recipe: Recipe | None = None,
    device: str = "cpu",
    precision: Precision = "32",
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Seen:
    """What autograd saves in a training step of the generated module, loss included."""
    network = _build(model, device).train()
    (x,) = (x.to(device) for x in draw_inputs(model, [model.input], batch))
    if not model.input.is_vector:
        x = x.contiguous(memory_format=memory_format)
    classes, *positions = model.output.torch_sizes
    labels = torch.randint(classes, (batch, *positions), device=device)
    seen = Seen(network)
    seen.add(x)
    seen.add(labels)
    with _autocast(device, precision), saved_tensors_hooks(seen.add, lambda tensor: tensor):
        output = network(x)
        with _autocast(device, "32"):
            loss = _loss(output, labels, model, recipe or model.recipe or Recipe())
    assert loss.requires_grad == any(True for _ in network.parameters())
    return seen


@contextmanager
def _autocast(device: str, precision: Precision) -> Iterator[None]:
    """Autocast without the question whether there is such a device."""
    before = torch.is_autocast_enabled(device)
    torch.set_autocast_enabled(device, precision != "32")
    torch.set_autocast_dtype(device, {"16": torch.float16}.get(precision, torch.bfloat16))
    try:
        yield
    finally:
        torch.set_autocast_enabled(device, before)
        torch.clear_autocast_cache()


def as_gpu(model: Model, batch: int, **how: Any) -> Seen:
    """What a GPU would save: CUDA's kernels and autocast on tensors without numbers."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return measure(model, batch, device="cuda", **how)


def count_dropped(model: Model) -> int:
    """Numbers that pass a dropout, for which a CPU keeps 4 bytes in place of a GPU's 1."""
    return sum(n.volume.elements for n in model.layers if isinstance(n.layer, Dropout))


# ── Rules ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("text", "input"), EXAMPLES)
def test_a_cpu_saves_what_the_page_says(text: str, input: tuple[int, ...]) -> None:
    model = archdsl.parse(text, input=input)
    _skip(model, RECURRENT | {"rmsnorm"}, "a CPU computes it in other steps")
    _skip(model, {"extern"}, "what it keeps is not known")
    memory = estimate_memory(model, batch=BATCH)
    is_trained = model.trunk.parameters > 0
    masks = 3 * count_dropped(model) if is_trained else 0
    assert measure(model, BATCH).bytes == memory.activations + BATCH * masks


@pytest.mark.parametrize(("text", "input"), EXAMPLES)
def test_a_gpu_in_low_precision_saves_what_the_page_says(text: str, input: tuple[int, ...]) -> None:
    model = archdsl.parse(text, input=input)
    _skip(
        model,
        RECURRENT | {"attention", "attend"},
        "without a GPU, PyTorch chooses none of its kernels",
    )
    _skip(model, {"extern"}, "what it keeps is not known")
    memory = estimate_memory(model, batch=BATCH, precision="bf16")
    seen = as_gpu(model, BATCH, precision="bf16")
    assert seen.bytes == memory.activations
    # The first layer's copy is needed forward only.
    assert seen.weight_copies <= memory.weights - memory.gradients


@pytest.mark.parametrize("precision", ["32", "bf16", "16"])
@pytest.mark.parametrize(
    ("text", "input"),
    [
        # Twice read, once kept; views; what no gradient comes by.
        ("a: conv 1x1 4 relu; concat { conv 3x3 same | maxpool 3 s1 same | id | a }", (6, 6, 3)),
        ("maxpool 2; avgpool 2; id; flatten; fc 4 relu; id; reshape 2x2x1; flatten", (8, 8, 2)),
        ("conv 1x1 4; mul { id | gap conv 1x1 sigmoid | conv 1x1 } bn; add { id | id }", (6, 6, 3)),
        ("fc 8; dropout 0; reshape 2x2x2; droppath 0; add { id | id | id }; relu", (9,)),
        ("conv 1x1 4; aux(0.3) { gap; fc 5 relu; fc 2 }; lrn; relu; gap; fc 2; softmax", (6, 6, 3)),
        ("conv 3x3 8 bn relu; dwconv 3x3 same bn silu; ln; conv 1x1 gelu; gn 2; fc 3", (7, 7, 3)),
        ("conv 3x3 8 scale relu; concat { conv 1x1 lrn | conv 1x1 }; conv 1x1 4", (7, 7, 3)),
        # One module in several runs: the weights once, what each run keeps each time.
        ("f: conv 3x3 4 same bn relu; reuse f ×2; dropout 0; fc 2", (6, 6, 4)),
        ("f: fc 8; add { reuse f | reuse f; relu; reuse f } bn; fc 2", (8,)),
        ("fc 4; softmax; train { loss mse }", (9,)),
        ("fc 4 sigmoid; train { loss mse }", (9,)),
        ("fc 4; train { loss cross_entropy smoothing=0.1 }", (9,)),
        ("fc 4; softmax; train { loss cross_entropy smoothing=0.1 }", (9,)),
    ],
)
def test_a_network_keeps_each_tensor_once(
    text: str, input: tuple[int, ...], precision: Precision
) -> None:
    model = archdsl.parse(text, input=input)
    for batch in (2, 5):
        memory = estimate_memory(model, batch=batch, precision=precision)
        assert as_gpu(model, batch, precision=precision).bytes == memory.activations


@settings(deadline=None, max_examples=80, derandomize=True, database=None)
@given(networks())
def test_random_networks_save_what_is_estimated(text: str) -> None:
    model = archdsl.parse(text, input="9x8x4")
    # A product with what no gradient passes keeps one factor less; `ln` reorders the memory.
    # What adds a trained tensor to tokens may give them a memory order of its own, too.
    others = {
        "mul",
        "ln",
        "rmsnorm",
        "dropout",
        "attention",
        "clstoken",
        "posembed",
        "extern",
        *RECURRENT,
    }
    assume(not others & {node.layer.name for node in model.layers})
    assert measure(model, BATCH).bytes == estimate_memory(model, batch=BATCH).activations


# ── Seed networks ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", MODELS)
def test_a_seed_network_saves_what_is_estimated(model: Model) -> None:
    memory = estimate_memory(model, batch=1)
    seen = measure(model, 1).bytes
    assert seen == memory.activations + 3 * count_dropped(model)
    assert memory.activations == pytest.approx(seen, rel=0.05)


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("model", MODELS)
def test_a_seed_network_on_a_gpu_saves_what_is_estimated(
    model: Model, precision: Precision
) -> None:
    memory = estimate_memory(model, batch=4, precision=precision)
    seen = as_gpu(model, 4, precision=precision)
    assert seen.bytes == memory.activations
    copies = memory.weights - memory.gradients
    assert 0.99 * copies <= seen.weight_copies <= copies
    # Flattening copies where channels come last.
    last = as_gpu(model, 4, precision=precision, memory_format=torch.channels_last)
    assert memory.activations == pytest.approx(last.bytes, rel=0.001)


@pytest.mark.parametrize("name", ["alexnet", "lenet5", "nin", "nin_cifar10"])
def test_a_seed_network_in_low_precision_on_a_cpu(name: str) -> None:
    """A CPU's autocast raises other operations than a GPU's, the pooling of `lrn` among them."""
    model = archdsl.load(ROOT / "specs" / f"{name}.arch")
    memory = estimate_memory(model, batch=1, precision="bf16")
    assert memory.activations == pytest.approx(measure(model, 1, precision="bf16").bytes, rel=0.1)


@pytest.mark.parametrize("name", ["alexnet", "nin", "nin_cifar10", "vgg16", "zfnet"])
def test_a_whole_step_takes_a_tenth_more_at_most(name: str) -> None:
    """Forward, backward and optimizer, each tensor counted while it lives."""
    # Imported here, as it brings most of torch's compiler: the other tests take less time.
    from torch.distributed._tools.mem_tracker import MemTracker

    model, batch = archdsl.load(ROOT / "specs" / f"{name}.arch"), 32
    recipe = Recipe(optimizer=optimizers.Adam())
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = build(model).train()
        adam = torch.optim.Adam(network.parameters(), foreach=False)
        x = torch.randn(batch, *model.input.torch_sizes)
        labels = torch.randint(model.output.channels, (batch,))
        tracker = MemTracker()
        tracker.track_external(network, adam, x, labels)
        with tracker:
            for _ in range(2):
                _loss(network(x), labels, model, recipe).backward()
                adam.step()
                adam.zero_grad()
                tracker.reset_mod_stats()
        peak = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    estimate = estimate_memory(model, batch=batch, recipe=recipe).total
    assert 0.95 * estimate < peak < 1.1 * estimate


# ── Sums ─────────────────────────────────────────────────────────────────────────────────────

SMALL = "network Small: 4x4x2 → 3 {{ conv 3x3 4 bn relu; fc 3{} }}"
#: 76 + 8 + 51 parameters; the image, the label, what bn and the ReLU keep, the logits' logarithms.
PARAMETERS, IMAGE = 135, 4 * 32 + 8 + 4 * (16 + 16) + 4 * 3
MODES = [("", 2), ("adam", 2), ("adamw", 2), ("sgd", 0), ("sgd momentum=0.9", 1)]
MODES += [("rmsprop", 1), ("rmsprop momentum=0.9", 2)]


def small(recipe: str = "") -> Model:
    return archdsl.parse(SMALL.format(f"; train {{ {recipe} }}" if recipe else ""), path="s.arch")


@pytest.mark.parametrize(("recipe", "state"), MODES)
def test_the_sums_of_a_small_network(recipe: str, state: int) -> None:
    memory = estimate_memory(small(recipe), batch=10)
    weights = 4 * PARAMETERS
    assert (memory.weights, memory.gradients, memory.optimizer) == (
        weights,
        weights,
        state * weights,
    )
    assert memory.activations_per_image == IMAGE
    assert memory.activations == 10 * IMAGE + 8 * 4
    assert memory.total == memory.total_of(10) == (2 + state) * weights + 10 * IMAGE + 8 * 4


def test_an_average_is_another_copy_of_the_weights() -> None:
    model = archdsl.load(ROOT / "specs" / "lenet5.arch")
    definition = averages.ExponentialMovingAverage()
    plain = estimate_memory(model, batch=4, recipe=Recipe())
    averaged = estimate_memory(model, batch=4, recipe=Recipe(average=definition))
    kept = Averaging(definition, build(model)).network.parameters()
    assert averaged.weights - plain.weights == sum(4 * tensor.numel() for tensor in kept)
    assert averaged.total - plain.total == averaged.weights - plain.weights


@pytest.mark.parametrize("optimizer", list(OPTIONS[RecipeRole.OPTIMIZER].values()))
def test_an_optimizer_keeps_what_it_says(optimizer: type[optimizers.Optimizer]) -> None:
    classes = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}
    weight = nn.Parameter(torch.ones(100))
    for momentum in (0.0, 0.9):
        if momentum and not hasattr(optimizer, "momentum"):
            continue
        given = {"momentum": momentum} if hasattr(optimizer, "momentum") else {}
        twin = getattr(torch.optim, classes[optimizer.name])([weight], lr=0.1, **given)
        weight.grad = torch.ones(100)
        twin.step()
        state = sum(v.numel() for v in twin.state[weight].values() if getattr(v, "ndim", 0))
        assert optimizer(**given).count_state() * 100 == state


def test_a_given_recipe_goes_before_the_models() -> None:
    given = Recipe(optimizer=optimizers.SGD())
    assert estimate_memory(small("adam"), batch=1, recipe=given).optimizer == 0


def test_mixed_precision_keeps_full_weights_and_a_copy() -> None:
    memory = estimate_memory(small(), batch=1, precision="bf16")
    assert memory.weights == 4 * PARAMETERS + 2 * (PARAMETERS - 8)
    assert memory.gradients == 4 * PARAMETERS
    assert memory.optimizer == 8 * PARAMETERS


def test_the_largest_batch_just_fits() -> None:
    memory = estimate_memory(small(), batch=1)
    for limit in (0, memory.fixed, memory.total_of(1) - 1):
        assert memory.largest_batch(limit) == 0
    assert memory.largest_batch(memory.total_of(7)) == 7
    assert memory.largest_batch(memory.total_of(7) - 1) == 6


# ── Command line ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run ``archdsl check`` on the small network."""
    monkeypatch.chdir(tmp_path)
    Path("s.arch").write_text(SMALL.format("; train { sgd momentum=0.9; batch 32 }"), "utf-8")
    Path("t.arch").write_text(SMALL.format(""), "utf-8")

    def run(*argv: str) -> Result:
        return CliRunner().invoke(commands, ["check", *argv])

    return run


def test_check_shows_the_memory_of_training(check: Callable[..., Result]) -> None:
    result = check("s.arch", "--training", "--memory", "1M")
    assert result.exit_code == 0
    assert result.stdout.endswith(
        """
Recipe:
  batch 32; epochs 10
  sgd lr=0.01 momentum=0.9
  loss cross_entropy

Memory of training: a batch of 32 images on one device, 32 bits
  weights      0.001 MB  4 bytes a number
  gradients    0.001 MB  4 bytes a number
  optimizer    0.001 MB  sgd keeps 1 number a parameter
  activations  0.009 MB  0.000 MB an image
  total        0.010 MB
  in 1.000 MB the largest batch is 3,617
An estimate of what is kept from the forward pass to the step. Not counted: what operations
need while they run (gradients of activations, cuDNN's workspaces), fragmentation and the 0.5
to 1 GB that the framework takes on a GPU. Leave a tenth of the memory free.
MB = 10⁶, GB = 10⁹ bytes
"""
    )


def test_check_names_the_default_optimizer_and_the_precision(check: Callable[..., Result]) -> None:
    out = check("t.arch", "--training", "--batch", "1", "--precision", "bf16").stdout
    assert "a batch of 1 image on one device, bf16, mixed\n" in out
    assert "4 bytes a number, and a copy of most in 2 bytes\n" in out
    assert "adam keeps 2 numbers a parameter, the default: the spec has no recipe\n" in out
    assert "largest batch" not in out
    assert "Recipe:" not in out


def test_a_batch_that_does_not_fit_is_a_finding(check: Callable[..., Result]) -> None:
    silent = ("--ignore=bias-before-norm", "--training")
    result = check("s.arch", "t.arch", *silent, "--batch=5000", "--memory=0.001G")
    assert result.exit_code == 1
    assert "  in 1.000 MB the largest batch is 3,617\n" in result.stdout
    assert result.stdout.endswith("\n2 networks in 2 files: 2 errors\n")
    assert result.stderr.startswith(
        "error[memory-exceeded]: Small: training with a batch of 5,000 takes 1.382 MB; "
        "only 1.000 MB are available\n  --> s.arch:1:9\n"
    )
    assert "help: a batch of 3,617 fits\n" in result.stderr
    assert "help: a batch of 3,615 fits\n" in result.stderr
    tiny = check("s.arch", "--training", "--memory=0.001M")
    assert "  in 0.001 MB not even one image fits\n" in tiny.stdout
    assert "help: not even one image fits\n" in tiny.stderr


def test_memory_in_json(check: Callable[..., Result]) -> None:
    def networks(*argv: str) -> list[dict[str, Any]]:
        document = json.loads(check("--format=json", *argv).stdout)
        found: list[dict[str, Any]] = document["networks"]
        return found

    with_recipe, without = networks("s.arch", "t.arch")
    assert "memory" not in with_recipe
    assert with_recipe["recipe"]["batch"] == 32
    assert with_recipe["recipe"]["optimizer"]["momentum"] == 0.9
    assert without["recipe"] is None
    with_recipe, without = networks("s.arch", "t.arch", "--training")
    assert with_recipe["memory"] == {
        "batch": 32,
        "precision": "32",
        "weights": 540,
        "gradients": 540,
        "optimizer": 540,
        "activations": 32 * IMAGE + 32,
        "total": 3 * 540 + 32 * IMAGE + 32,
        "largest_batch": None,
    }
    assert without["memory"]["batch"] == 64
    (network,) = networks("s.arch", "--training", "--memory", "1M")
    assert network["memory"]["largest_batch"] == 3617


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("80G", 80 * 10**9),
        ("24GB", 24 * 10**9),
        ("11.5G", 11_500_000_000),
        ("500M", 500_000_000),
        ("40gb", 40 * 10**9),
        ("81559MiB", 81559 * 2**20),
        ("1T", 10**12),
    ],
)
def test_a_size_of_memory(text: str, size: int) -> None:
    assert MemorySize().convert(text, None, None) == size


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--memory=80G"], "`--memory` is about training: add `--training`"),
        (["--precision=bf16"], "`--precision` is about training: add `--training`"),
        (["--batch=2"], "`--batch` is about training: add `--training`"),
        (["--training", "--batch=0"], "'--batch': 0 is not in the range"),
        (["--training", "--precision=8"], "'--precision': '8' is not one of '32', 'bf16', '16'"),
        (["--training", "--memory=80"], "'80' is not a memory size such as 80G, 11.5GB or 500M"),
        (["--training", "--memory=-1G"], "'-1G' is not a memory size"),
        (["--training", "--memory=0G"], "'0G' is not between 1 byte"),
        (["--training", "--memory=999999999999T"], "is not between 1 byte"),
    ],
)
def test_a_wrong_call(check: Callable[..., Result], argv: list[str], message: str) -> None:
    result = check("s.arch", *argv)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
