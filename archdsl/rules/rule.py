"""The rule behind a diagnostic's code: what is wrong, a small example, and its fix."""

from __future__ import annotations

from enum import Enum

from archdsl.records import dataclass


class Topic(Enum):
    """What a rule is about, in the order of the documentation."""

    TEXT = "text"
    WORDS = "words and names"
    ARGUMENTS = "arguments"
    STRUCTURE = "structure"
    VOLUMES = "volumes and claims"
    TRAINING = "training"
    WARNINGS = "warnings"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one code means.

    ``example`` causes exactly this code, and ``fixed`` causes none; ``input`` is the input volume
    of both where they are bare statements. A code that no single text can cause has a ``reason``
    in their place.
    """

    name: str
    summary: str
    explanation: str
    example: str | None = None
    fixed: str | None = None
    input: tuple[int, ...] | None = None
    reason: str | None = None
