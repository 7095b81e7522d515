"""Texts to read: all specs, the examples of all definitions and rules, and mutants of them."""

from __future__ import annotations

from typing import Any

from conftest import ROOT
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st


def examples(count: int) -> settings:
    return settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=count)


PIECES = [
    *"network block use let if else expect and or not true conv maxpool fc concat add".split(),
    *"id crop same relu inception basic a b n H W C name: 138M x3 ×2 *2 3x3 64 0.5 s2 p1".split(),
    *"d2 g4 28x28x3 1_000 99999999999999999999 1e9 { } ( ) | ; : , = ~ <= -> → × + - //".split(),
    *"aux init he xavier".split(),
    *"train data batch epochs augment schedule loss sgd adam lr=0.1 plateau hflip mnist".split(),
    *'/ % == "x.arch" # £ \\ é 𝟛 ｃonv ٣ \u2028 \ud800 \ufeff'.split(" "),
    *("\n", "\t", "\x00", "\u202e", "\x1b[31m"),
]


SPECS = [path.read_text("utf-8") for path in sorted((ROOT / "specs").glob("*.arch"))]


@st.composite
def mutants(draw: Any, texts: st.SearchStrategy[str] | None = None) -> str:
    """A text, a spec unless given, with a few pieces removed, doubled, replaced or put in."""
    text = draw(st.sampled_from(SPECS) if texts is None else texts)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.just(text[start:end] * 2)))
        text = text[:start] + piece + text[end:]
    return text
