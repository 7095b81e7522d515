"""What a trace takes instead of running a module, and a proof instead of copying: the same."""

from __future__ import annotations

import copy

import pytest
import torch
from imports import SMALL, imported
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from archdsl.importing.errors import NotInTheLanguage
from archdsl.importing.from_torch import proof
from archdsl.importing.from_torch.copies import doubled, uninitialized
from archdsl.importing.from_torch.sizes import Sizes


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(4, 8, (3, 5), padding="same", dilation=2, groups=2),
        nn.Conv2d(4, 4, 3, padding=2, padding_mode="reflect"),
        nn.BatchNorm2d(4),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4).eval(),
        nn.Conv2d(4, 6, 3).requires_grad_(False),
        nn.Linear(10, 7),
        nn.Linear(10, 10, bias=False),
        nn.LayerNorm(10),
        nn.LayerNorm(10, elementwise_affine=False),
    ],
    ids=str,
)
def test_sizes_are_those_that_the_module_gives(module: nn.Module) -> None:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    for flows in (False, True):
        with mode:
            x = torch.empty(1013, 4, 12, 10, requires_grad=flows) * 1
            wanted = module.forward(x)
        found = Sizes(mode).of(module, x)
        assert found is not None
        assert found.shape == wanted.shape
        assert found.stride() == wanted.stride()
        facts = (found.dtype, found.device, found.requires_grad)
        assert facts == (wanted.dtype, wanted.device, wanted.requires_grad)
        assert found._version == 0


def test_what_is_not_known_runs() -> None:
    class Own(nn.Conv2d):
        pass

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        x = torch.empty(1013, 4, 12, 10)
        turned = torch.empty(1013, 12, 10, 4).permute(0, 3, 1, 2)
    sizes = Sizes(mode)
    assert sizes.of(Own(4, 6, 3), x) is None
    assert sizes.of(nn.Linear(9, 3), x) is None
    assert sizes.of(nn.LayerNorm((12, 10)), x) is None
    assert sizes.of(nn.ReLU(), x) is None
    assert sizes.of(nn.Conv2d(4, 6, 3), turned) is None
    assert sizes.of(nn.BatchNorm2d(3), x) is None
    assert sizes.of(nn.Conv2d(4, 6, 3).double(), x) is None
    with pytest.raises(RuntimeError):
        sizes.of(nn.Conv2d(3, 6, 3), x)


def test_functions_of_init_come_back() -> None:
    before = dict(vars(nn.init))
    with uninitialized():
        tensor = torch.full((3, 3), 7.0)
        assert nn.init.kaiming_uniform_(tensor).eq(7).all()
        assert nn.init.trunc_normal_(tensor, std=0.02).eq(7).all()
        nn.Conv2d(3, 8, 3)
    assert dict(vars(nn.init)) == before
    assert not nn.init.zeros_(tensor).any()


def test_a_double_copy_shares_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    module[0].weight.requires_grad_(False)
    before = copy.deepcopy(module.state_dict())
    made = doubled(module)
    assert {p.dtype for p in made.parameters()} == {torch.float64}
    assert not made[0].weight.requires_grad  # type: ignore[index, union-attr]
    with torch.no_grad():
        for number in [*made.parameters(), *made.buffers()]:
            number.zero_()
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_a_network_that_writes_to_weights_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two have the same tensors: what one writes, the other would read."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    module = Net()
    train = proof._train

    def writing(network: nn.Module, *given: object) -> list[Tensor]:
        if network is module:
            with torch.no_grad():
                module.conv.weight.mul_(2)
        return train(network, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(proof, "_train", writing)
    with pytest.raises(NotInTheLanguage, match=r"conv\.weight: it is written to while the network"):
        imported(module)
    assert imported(Net(), SMALL).is_exact
