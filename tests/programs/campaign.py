"""Seeds tried one by one: what fails, how often which feature occurs, and small programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from programs import tree
from programs.features import features_of
from programs.generate import generate
from programs.judge import NOT_FINITE, Failure, judge
from programs.layers import Illegal
from programs.meaning import run
from programs.reduce import reduce


@dataclass(frozen=True)
class Trial:
    """One seed: what is wrong with its file, if anything is, and what the file has in it."""

    seed: int
    failure: Failure | None
    features: Counter[str]


def try_seed(seed: int) -> Trial:
    # Threads that wait for one another cost more than such small tensors do.
    torch.set_num_threads(1)
    program, meanings = generate(seed)
    failure = judge(str(program), meanings, seed=seed)
    features = features_of(program, meanings)
    if failure is not None and failure.kind == f"run: {NOT_FINITE}":
        # A hundred products of a tensor by itself: it is counted, and says nothing.
        features[NOT_FINITE] += 1
        failure = None
    return Trial(seed, failure, features)


def judge_program(program: tree.Program, seed: int) -> Failure | None:
    """What is wrong with a file. Errors: ``Illegal``."""
    meanings = run(program)
    return judge(str(program), meanings, seed=seed)


def reduce_seed(seed: int, seconds: float = 60) -> tuple[tree.Program, Failure]:
    """The file of a seed that fails, as small as it fails in the same way."""
    program, meanings = generate(seed)
    failure = judge(str(program), meanings, seed=seed)
    assert failure is not None, f"seed {seed} does not fail"
    kind = failure.kind

    def fails(candidate: tree.Program) -> bool:
        try:
            found = judge_program(candidate, seed)
        except Illegal:
            return False
        return found is not None and found.kind == kind

    smallest = reduce(program, fails, seconds)
    found = judge_program(smallest, seed)
    assert found is not None
    return smallest, found
