"""What PyTorch users do with a module works on each one of ``generated/``.

Large networks are asked on the meta device, where nothing is computed: that ``torch.compile`` has
one graph, and that ``torch.export`` leaves the batch open, does not depend on numbers. Asked is one
network for each set of blocks; computed are the small ones with another kind of layer.
"""

from __future__ import annotations

import copy
import importlib
import io
import pickle
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, sample
from oracle import run_source
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

import archdsl
from archdsl.cli.compile import module_path
from archdsl.cli.files import find_specs
from archdsl.codegen import entry_name
from archdsl.frontend import read_models
from archdsl.layers import UnaryLayer
from archdsl.model import Model
from archdsl.text.source import Source
from archdsl.torch_tools.inputs import draw_inputs

sys.path.append(str(ROOT))  # `generated` is imported as its users import it


@dataclass(frozen=True, eq=False)
class Case:
    """A network of a committed module."""

    module: str
    model: Model

    def __str__(self) -> str:
        return f"{self.module}.{self.model.name}"

    def build(self, device: str) -> nn.Module:
        found = getattr(importlib.import_module(self.module), entry_name(self.model))
        with torch.device(device):
            network: nn.Module = found()
        return network

    def images(self, batch: int, device: str = "cpu") -> tuple[Tensor, ...]:
        """Random samples for each input."""
        generator = torch.Generator(device="cpu").manual_seed(batch)
        volumes = [node.volume for node in self.model.inputs]
        drawn = draw_inputs(self.model, volumes, batch, generator)
        return tuple(samples.to(device) for samples in drawn)

    def shapes(self, batch: int) -> list[tuple[int, ...]]:
        """What the network gives in evaluation."""
        ends = (self.model.nodes[end] for end in self.model.ends)
        return [(batch, *end.volume.torch_sizes) for end in ends]

    @property
    def parameters(self) -> int:
        return self.model.trunk.parameters + self.model.heads.parameters


def _cases() -> Iterator[Case]:
    for file in find_specs([str(ROOT / "specs")]).files:
        path = Path("generated") / module_path(file.place)
        for model in sample(file.path):
            yield Case(".".join(path.with_suffix("").parts), model)


CASES = list(_cases())


def _first_of_their_kind() -> Iterator[Case]:
    """The networks of a module that have a block which none before them has, and its first."""
    seen: dict[str, set[type]] = {}
    for case in CASES:
        network = case.build("meta")
        blocks = {
            type(part)
            for name, part in network.named_modules()
            if name and type(part).__module__ == case.module
        }
        if case.module not in seen or blocks - seen[case.module]:
            yield case
        seen.setdefault(case.module, set()).update(blocks)


FIRST = list(_first_of_their_kind())
#: Small enough to be computed.
LIGHT = [case for case in FIRST if case.parameters < 15_000_000]


def _with_new_layers() -> Iterator[Case]:
    """The small networks that have a kind of layer, or an output, which no smaller one has."""
    seen: set[object] = set()
    for case in sorted(LIGHT, key=lambda case: len(case.model.nodes)):
        model = case.model
        kinds = {type(node.layer) for node in model.layers}
        kinds |= {("outputs", len(model.ends)), ("heads", model.heads.parameters > 0)}  # type: ignore[arg-type]
        if not kinds <= seen:
            yield case
        seen |= kinds


#: With each kind of layer that a network of LIGHT has, for what takes seconds.
FEW = list(_with_new_layers())


#: The lecture's.
LECTURE = [case for case in FEW if case.module.count(".") == 1]
#: What is traced, which takes seconds: torchvision's have no other structure than these.
TRACED = [case for case in FIRST if case in FEW or ".torchvision." not in case.module]


def enlivened(case: Case) -> nn.Module:
    """A network through whose layers the image gets, with statistics that are not 0 and 1."""
    torch.manual_seed(0)
    network = case.build("cpu")
    for part in network.modules():
        if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.normal_(part.running_mean, std=0.1)  # type: ignore[arg-type]
    return network.eval()


def tensors(output: Any) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else tuple(output)


def outputs_of(network: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    torch.manual_seed(0)  # dropout
    return tensors(network(*images))


#: Deep networks whose output at the start is all but the last bias.
FADING = {"MobileNetV1", "EfficientNet_B0"}


@torch.no_grad()
def assert_same(case: Case, expected: nn.Module, *actual: nn.Module) -> None:
    """The same bits in evaluation and, auxiliary heads included, in training.

    Evaluation comes first: training moves the statistics, which two networks may share.
    """
    images = case.images(2)
    for is_training in (False, True):
        wanted, *found = (
            outputs_of(network.train(is_training), images) for network in (expected, *actual)
        )
        for outputs in found:
            assert len(outputs) == len(wanted)
            assert all(map(torch.equal, outputs, wanted))
        if not is_training and case.model.name not in FADING:
            others = tensors(expected(*(x[:2] for x in case.images(3))))
            assert not torch.equal(wanted[0], others[0])


# ── torch.jit.script and torch.fx ────────────────────────────────────────────────────────────


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("case", FIRST, ids=str)
def test_scripts(case: Case) -> None:
    """As torchvision's do: a network with heads, too, in training and in evaluation."""
    network = case.build("cpu" if case in LIGHT else "meta")
    scripted = torch.jit.script(network)
    if case in LIGHT:
        assert_same(case, network, scripted)


WAYS = """
block unit(n, s, residual) {
  conv 1 n
  if s == 2 {
    part: conv 3 n s2 same; relu
    concat { part | conv 1 n | id }
  } else if residual {
    if n > 4 { mul { conv 3 n same | gap } } else { add { conv 3 n same | id } }
  }
  relu
}
network Ways: 16x16x4 → 5 {
  unit(8, 2, false); unit(8, 1, true); unit(4, 1, true); unit(4, 1, false)
  fc 5
}
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_ways_of_an_if_are_for_all_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object goes one way: the layers of the others are not missed by TorchScript."""
    model = archdsl.parse(WAYS)
    (tmp_path / "ways.py").write_text(archdsl.compile(model), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    network = importlib.import_module("ways").Ways()
    assert len({type(unit) for unit in list(network)[:4]}) == 1
    case = Case("ways", model)
    scripted, traced = torch.jit.script(network), torch.fx.symbolic_trace(network)
    assert_same(case, network, scripted, traced, copy.deepcopy(network))
    (x,) = case.images(2)
    exported = torch.export.export(network.eval(), (x,))
    assert torch.allclose(exported.module()(x), network(x))


@pytest.mark.parametrize("is_training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("case", FIRST, ids=str)
def test_is_traced_by_fx(case: Case, is_training: bool) -> None:
    network = case.build("cpu" if case in LIGHT else "meta").train(is_training)
    traced = torch.fx.symbolic_trace(network)
    called = {str(node.target) for node in traced.graph.nodes if node.op == "call_module"}
    names = case.model.names
    layers = [n for n in case.model.layers if isinstance(n.layer, UnaryLayer)]
    runs = {names[n.id] for n in layers if is_training or n.head is None}
    # Of what torch.nn has no module for, fx goes inside.
    assert called <= {name for name, _ in network.named_modules()}
    assert {name for name in runs if name in called} >= {
        names[n.id] for n in layers if n.layer.has_weights and names[n.id] in runs
    } - {name for name in runs if any(network.get_submodule(name).children())}


# ── torch.compile ────────────────────────────────────────────────────────────────────────────


def compile_whole(case: Case, is_training: bool) -> None:
    # A list of numbers as an index is a tensor of the CPU, which dynamo does not let meet the meta
    # device; the one network that has them is tiny.
    device = "cpu" if case.parameters < 100_000 else "meta"
    torch.compiler.reset()
    network = case.build(device).train(is_training)
    # Without this torch leaves recurrent layers out of its graphs.
    with torch.no_grad(), torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(network, fullgraph=True, backend="eager")
        outputs = tensors(compiled(*case.images(2, device)))
    heads = len(getattr(network, "aux_weights", ())) if is_training else 0
    wanted = case.shapes(2)
    assert len(outputs) == len(wanted) + heads
    assert [tuple(output.shape) for output in outputs[: len(wanted)]] == wanted


def has_mode(case: Case) -> bool:
    """Whether the text of a network's module asks if it is in training."""
    source = Path(str(sys.modules[case.module].__file__)).read_text("utf-8")
    return "self.training" in source


@pytest.mark.parametrize("case", TRACED, ids=str)
def test_compiles_as_one_graph(case: Case) -> None:
    compile_whole(case, False)
    if has_mode(case):
        compile_whole(case, True)


@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
def test_inductor_computes_the_same() -> None:
    (case,) = (case for case in CASES if case.model.name == "OneByOne")
    network = enlivened(case)
    torch.compiler.reset()
    with torch.no_grad():
        expected = network(*case.images(2))
        actual = torch.compile(network, fullgraph=True)(*case.images(2))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


# ── torch.export ─────────────────────────────────────────────────────────────────────────────


#: What the networks of LECTURE and SMALL are made of, which are computed in ONNX: all others have
#: nothing beyond it.
OPERATORS = set(
    """
    _assert_tensor_metadata.default abs.default adaptive_avg_pool1d.default
    adaptive_avg_pool2d.default adaptive_max_pool1d.default add.Tensor arange.default
    avg_pool2d.default avg_pool3d.default batch_norm.default cat.default channel_shuffle.default
    chunk.default conv1d.default conv2d.default conv3d.default conv_transpose2d.input div.Tensor
    dropout.default embedding.default expand.default flatten.using_ints ge.Scalar gelu.default
    hardsigmoid.default hardswish.default hardtanh.default index.Tensor layer_norm.default
    leaky_relu.default linear.default lstm.input masked_fill.Scalar matmul.default
    max_pool1d.default max_pool2d.default max_pool3d.default movedim.int mul.Tensor ne.Tensor
    pad.default permute.default pow.Tensor_Scalar relu.default reshape.default roll.default
    scaled_dot_product_attention.default select.int sigmoid.default silu.default slice.Tensor
    softmax.int squeeze.dim sub.Tensor sym_size.int tanh.default to.dtype transpose.int unbind.int
    unflatten.int unsqueeze.default upsample_bilinear2d.vec upsample_nearest2d.vec view.default
    zeros.default
    """.split()
) | {"<built-in function getitem>"}

#: Small networks with what only large ones of specs/ have.
SMALL_SPECS = """
network Video: 4x12x12x3 → 5 { conv 3x3x3 8 same leakyrelu 0.1; maxpool 2; fc 5 }
network Twins: (left: 8x8x3, right: 8x8x3) → 1 {
  tower: { conv 3 4; fc 8 }
  right; twin: reuse tower
  sub { tower | twin } abs; fc 1
}
network Tokens: 32x32x3 → 4x2x6 {
  conv 8 16 s8; ln gelu; tokens; clstoken; posembed; attention 4; ln; token 0; fc 48; reshape 4x2x6
}
network Windows: 8x8x3 → 16x16x4 {
  conv 1 4; attention 2 window=4 shift=2; upsample 2; { conv 3 4 s2 same; upsample 2 mode=bilinear }
}
network Mobile: 8x8x8 → 5 {
  conv 1 8 hardswish; dwconv 3 same relu6; channelshuffle 2
  mul { id | gap; conv 1 hardsigmoid } silu
  deconv 2 4 s2; bn lrn; take(0, 2, 1); slice 1; pad 1; maxpool 3; scale; avgpool 2 tanh
  concat { id | conv 3 4 same relu sigmoid }; dropout; fc 5
}
network Sound: 64x2 → 5 { pad 2 0; conv 3 4 tanh; maxpool 2; lstm 4 bidirectional; gap; fc 5 }
network Words: 6 → 5 { embedding 9 8; matmul { id | gmp; fc 64; reshape 8x8 }; fc 12; sample; fc 5 }
"""


def _small() -> list[Case]:
    models = read_models(Source(SMALL_SPECS, "small.arch"))
    sys.modules["small"] = run_source(archdsl.compile(*models), "small")
    return [Case("small", model) for model in models]


SMALL = _small()


def exported(case: Case) -> ExportedProgram:
    """The program for any number of images, without weights."""
    network = case.build("meta").eval()
    images = case.images(2, "meta")
    batch = Dim("batch")
    return torch.export.export(network, images, dynamic_shapes=tuple({0: batch} for _ in images))


def operators(program: ExportedProgram) -> set[str]:
    nodes = program.graph.nodes
    return {str(n.target).removeprefix("aten.") for n in nodes if n.op == "call_function"}


#: What torch says of its own recurrent layers.
UNFLAT = pytest.mark.filterwarnings(
    "ignore:The tensor attributes .*_flat_weights:UserWarning",
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
    "ignore:_check_is_size will be removed:FutureWarning",
)


@UNFLAT
@pytest.mark.parametrize("case", TRACED, ids=str)
def test_exports_for_any_batch(case: Case) -> None:
    program = exported(case)
    assert operators(program) <= OPERATORS
    outputs = tensors(program.module()(*case.images(5, "meta")))
    assert [tuple(output.shape) for output in outputs] == case.shapes(5)


# ── ONNX ─────────────────────────────────────────────────────────────────────────────────────


@UNFLAT
def test_every_operator_is_computed() -> None:
    missing = OPERATORS
    # Those with most kinds of layers first: few have all. That none has more is tested above.
    light = [*SMALL, *LECTURE]
    for case in sorted(light, key=lambda case: -len({n.layer.name for n in case.model.layers})):
        missing = missing - operators(exported(case))
        if not missing:
            break
    assert missing == set()


@UNFLAT
@pytest.mark.filterwarnings("ignore:# The axis name. batch will not be used:UserWarning")
@pytest.mark.parametrize("case", [*SMALL, *LECTURE], ids=str)
def test_onnx_computes_the_same(case: Case) -> None:
    """Exported with two images, run with three: as near to the exact numbers as torch is."""
    import onnxruntime

    network = enlivened(case)
    batch = Dim("batch")
    names = [f"image{index}" for index, _ in enumerate(case.model.inputs)]
    program: Any = torch.onnx.export(
        network,
        case.images(2),
        dynamo=True,
        dynamic_shapes=tuple({0: batch} for _ in names),
        input_names=names,
        verbose=False,
    )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    images = case.images(3)
    results = session.run(None, {n: x.numpy() for n, x in zip(names, images, strict=True)})
    with torch.no_grad():
        rounded = tensors(network(*images))
        exact = tensors(network.double()(*(image.double() for image in images)))
    for actual, near, expected in zip(results, rounded, exact, strict=True):
        scale = float(expected.abs().max())
        assert scale > 1e-2
        # Deep networks with gates magnify what is rounded, in torch as well.
        rounding = float((near - expected).abs().max())
        assert rounding < 1e-3 * scale
        distance = float((torch.from_numpy(actual) - expected).abs().max())
        assert distance < 8 * rounding + 1e-6 * scale


# ── Copies ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", FEW, ids=str)
def test_copies_and_pickles_compute_the_same(case: Case) -> None:
    network = enlivened(case)
    assert_same(case, network, copy.deepcopy(network), pickle.loads(pickle.dumps(network)))


@pytest.mark.parametrize("case", FEW, ids=str)
def test_weights_come_back_from_a_file(case: Case, tmp_path: Path) -> None:
    network = enlivened(case)
    state = network.state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded = []
    for saved in (
        load_file(tmp_path / "weights.safetensors"),
        torch.load(buffer, weights_only=True),
    ):
        loaded.append(case.build("cpu"))
        loaded[-1].load_state_dict(saved, strict=True)
    assert_same(case, network, *loaded)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_copies_and_pickles_of_all_have_their_parts(case: Case) -> None:
    network = case.build("meta")
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert repr(twin) == repr(network)
        assert list(twin.state_dict()) == list(network.state_dict())
