"""What a check heard of a member's program, beyond whether it passed."""

from enum import Enum


class Heard(Enum):
    """`SILENCE` at a port that somebody has, that `NOBODY` has it, or anything else: `WORDS`.

    What passes by words is an answer; what fails by them tells of the answer, or of the way there.
    """

    WORDS = "words"
    SILENCE = "silence"
    NOBODY = "nobody"
