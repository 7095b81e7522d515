"""Words of other frameworks: the lists are whole, and no such word is taken for a misspelling."""

from __future__ import annotations

import inspect
import random
import re
import string
from collections.abc import Iterator, Mapping

import onnx.defs
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from archdsl.elaborate.suggestions import meant
from archdsl.frontend import diagnose
from archdsl.layers import INITIALIZERS, REGISTRY
from archdsl.layers.definition import Definition, called, normal_form
from archdsl.layers.elsewhere import INITIALIZERS_ELSEWHERE, LAYERS_ELSEWHERE, forms_of, places_of
from archdsl.layers.volume import Volume
from archdsl.recipe import OPTIONS, RecipeRole
from archdsl.recipe.elsewhere import OPTIONS_ELSEWHERE
from archdsl.text import syntax
from archdsl.text.diagnostics import Fix, is_slip
from archdsl.text.source import Source, Span

#: Modules that hold others and are not layers.
CONTAINERS = {"Container", "DataParallel", "Module", "ModuleDict", "ModuleList", "RNNBase"}
CONTAINERS |= {"ParameterDict", "ParameterList", "RNNCellBase"}

TORCH_LAYERS = [
    name
    for name, found in inspect.getmembers(nn, inspect.isclass)
    if issubclass(found, nn.Module) and name not in CONTAINERS
]
TORCH_WORDS: Mapping[RecipeRole, list[str]] = {
    RecipeRole.OPTIMIZER: [
        name
        for name, found in inspect.getmembers(torch.optim, inspect.isclass)
        if issubclass(found, torch.optim.Optimizer) and name != "Optimizer"
    ],
    RecipeRole.SCHEDULE: [
        name for name in torch.optim.lr_scheduler.__all__ if name != "LRScheduler"
    ],
    RecipeRole.LOSS: [name for name in TORCH_LAYERS if name.endswith("Loss")],
    RecipeRole.AVERAGE: [name for name in torch.optim.swa_utils.__all__ if name.endswith("Model")],
    RecipeRole.AUGMENTATION: [
        name
        for name, found in inspect.getmembers(v2, inspect.isclass)
        if issubclass(found, v2.Transform) and name.startswith("Random")
    ],
}
#: Losses that are layers of their own, with weights.
ADAPTIVE = {"AdaptiveLogSoftmaxWithLoss", "NLLLoss2d", "LinearCrossEntropyLoss"}
ADAPTIVE |= {"MultiLabelSoftMarginLoss", "TripletMarginWithDistanceLoss"}


def fixes_of(
    word: str, definitions: Mapping[str, type[Definition]], elsewhere: Mapping[str, str]
) -> tuple[Fix, ...]:
    source = Source(word)
    name = syntax.Name(Span(source, 0, len(word)), word)
    return meant(name, definitions, "a layer", elsewhere)[0]


def _name_of(found: tuple[type[Definition], bool] | None) -> list[str]:
    """What is written for a word that is called otherwise here, and is just that."""
    return [found[0].name] if found and found[1] else []


def spellings(name: str) -> set[str]:
    """As it is, in small letters, with underscores, and without a number of dimensions."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    found = {name, name.lower(), snake}
    return found | {re.sub(r"_?[123]d$", "", word) for word in found}


def test_the_lists_have_all_of_torch() -> None:
    assert set(map(normal_form, TORCH_LAYERS)) <= forms_of({"PyTorch": LAYERS_ELSEWHERE["PyTorch"]})
    for role, names in TORCH_WORDS.items():
        wanted = {normal_form(name) for name in names if name not in ADAPTIVE}
        assert wanted <= forms_of({"PyTorch": OPTIONS_ELSEWHERE[role]["PyTorch"]}), role
    initial = {normal_form(n) for n in dir(nn.init) if n.endswith("_") and not n.startswith("_")}
    assert initial <= forms_of({"PyTorch": INITIALIZERS_ELSEWHERE["PyTorch"]})


def test_the_lists_have_all_of_onnx() -> None:
    operators = {s.name for s in onnx.defs.get_all_schemas() if s.domain == ""}
    assert set(map(normal_form, operators)) <= forms_of({"ONNX": LAYERS_ELSEWHERE["ONNX"]})


@pytest.mark.parametrize("name", TORCH_LAYERS)
def test_a_layer_of_torch_is_no_misspelling(name: str) -> None:
    """It is a layer here, is called otherwise here, or is left as it is."""
    for word in spellings(name):
        if word in REGISTRY:
            continue
        found = called(word, REGISTRY)
        fixes = fixes_of(word, REGISTRY, LAYERS_ELSEWHERE)
        assert [fix.edits[0].replacement for fix in fixes] == _name_of(found)


@pytest.mark.parametrize("role", RecipeRole)
def test_a_word_of_torch_s_training_is_no_misspelling(role: RecipeRole) -> None:
    for name in TORCH_WORDS[role]:
        if name in ADAPTIVE:
            continue
        for word in spellings(name):
            if word in OPTIONS[role]:
                continue
            found = called(word, OPTIONS[role])
            fixes = fixes_of(word, OPTIONS[role], OPTIONS_ELSEWHERE[role])
            assert [f.edits[0].replacement for f in fixes] == _name_of(found)


@pytest.mark.parametrize(
    ("word", "is_same"),
    [
        ("batchnorm2d", True),
        ("Conv2D", True),
        ("Leaky_ReLU", True),
        ("dense", True),
        ("pool", False),
        ("norm", False),
        ("depth_to_space", False),
        ("upconv", False),
    ],
)
def test_another_name_is_the_same_layer_or_one_like_it(word: str, is_same: bool) -> None:
    found = called(word, REGISTRY)
    assert found
    assert found[1] is is_same
    (diagnostic,) = diagnose(Source(f"{word} 2"), Volume((28, 28, 16)))[:1]
    assert diagnostic.help
    assert diagnostic.help.endswith(f" called `{found[0].name}`") is is_same
    assert bool(diagnostic.fixes) is is_same


def test_no_synonym_has_two_meanings() -> None:
    for definitions in (REGISTRY, INITIALIZERS, *OPTIONS.values()):
        words = [
            form
            for definition in definitions.values()
            for form in {
                *map(normal_form, (definition.name, *definition.synonyms, *definition.akin))
            }
        ]
        assert len(words) == len(set(words))


def test_where_a_word_is_known() -> None:
    assert places_of("celu", LAYERS_ELSEWHERE) == {
        "PyTorch": "CELU",
        "Keras": "celu",
        "ONNX": "Celu",
    }
    assert places_of("MaxUnpool", LAYERS_ELSEWHERE) == {"PyTorch": "MaxUnpool", "ONNX": "MaxUnpool"}
    assert places_of("qwertz", LAYERS_ELSEWHERE) == {}


# ── Misspellings ─────────────────────────────────────────────────────────────────────────────


def _one_off(word: str) -> Iterator[str]:
    """Everything that one insertion, deletion, substitution or swap of neighbours makes."""
    for index in range(len(word) + 1):
        before, after = word[:index], word[index:]
        yield from (before + letter + after for letter in string.ascii_lowercase)
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in string.ascii_lowercase)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]


ALL_DEFINITIONS = [(REGISTRY, LAYERS_ELSEWHERE), (INITIALIZERS, INITIALIZERS_ELSEWHERE)]
ALL_DEFINITIONS += [(OPTIONS[role], OPTIONS_ELSEWHERE[role]) for role in RecipeRole]


@pytest.mark.parametrize("index", range(len(ALL_DEFINITIONS)))
def test_a_misspelling_fixes_to_the_word_or_is_left(index: int) -> None:
    """One letter away from a word: what would be written unasked is that word, or none."""
    definitions, elsewhere = ALL_DEFINITIONS[index]
    chosen = random.Random(index)
    fixed = 0
    for word in definitions:
        others = sorted(set(_one_off(word)) - {word, "", *definitions})
        for typed in chosen.sample(others, min(60, len(others))):
            if called(typed, definitions):
                continue
            kept = [fix for fix in fixes_of(typed, definitions, elsewhere) if fix.keeps_choices]
            assert [fix.edits[0].replacement for fix in kept] in ([], [word]), typed
            fixed += len(kept)
    assert fixed > 25


def test_two_letters_away_is_never_written_unasked() -> None:
    """What is written for any word is one letter away from it, and nothing else is."""
    chosen = random.Random(2)
    known = {*REGISTRY, *forms_of(LAYERS_ELSEWHERE)}
    for word in REGISTRY:
        for one in chosen.sample(sorted({*_one_off(word)} - {""}), 6):
            for typed in chosen.sample(sorted({*_one_off(one)} - {""}), 5):
                if typed in REGISTRY or called(typed, REGISTRY):
                    continue
                around = known & {*_one_off(typed)}
                for fix in fixes_of(typed, REGISTRY, LAYERS_ELSEWHERE):
                    if fix.keeps_choices:
                        assert around == {fix.edits[0].replacement}, typed


@pytest.mark.parametrize(
    ("word", "meant", "is_slip_of"),
    [
        ("cnov", "conv", True),
        ("Relu", "relu", True),
        ("dropot", "dropout", True),
        ("cov", "conv", False),
        ("convv", "conv", True),
        ("vcno", "conv", False),
        ("relu5", "relu6", False),
        ("enc2", "enc1", False),
        ("c", "C", False),
        ("elu", "gelu", False),
        ("pelu", "prelu", False),
    ],
)
def test_slips_of_the_pen(word: str, meant: str, is_slip_of: bool) -> None:
    known = {
        "conv",
        "relu",
        "relu6",
        "gelu",
        "prelu",
        "C",
        "enc1",
        "celu",
        *forms_of(LAYERS_ELSEWHERE),
    }
    assert is_slip(word, meant, known) is is_slip_of


@pytest.mark.parametrize("text", ["celu", "softmin", "maxunpool 2", "attn", "glu"])
def test_nothing_is_offered_for_a_layer_of_another_framework(text: str) -> None:
    (diagnostic,) = diagnose(Source(text), Volume((28, 28, 16)))
    assert diagnostic.fixes == ()
    assert diagnostic.help
    assert diagnostic.help.endswith("that this language does not have")
