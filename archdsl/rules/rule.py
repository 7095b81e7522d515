"""The page of a diagnostic's code: what is wrong, a small example, and its fix."""

from __future__ import annotations

from enum import Enum

from archdsl.records import dataclass


class Topic(Enum):
    """What a code is about; the order is that of the documentation."""

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

    ``example`` gives just this code and ``fixed`` none; ``input`` is the volume for both where
    they are bare statements. A code that no single text can give has a ``reason`` in their place.
    """

    name: str
    summary: str
    explanation: str
    example: str | None = None
    fixed: str | None = None
    input: tuple[int, ...] | None = None
    reason: str | None = None
