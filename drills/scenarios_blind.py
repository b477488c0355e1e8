"""A scenario in which too little can be read to say what is wrong: the right answer is that it is not known."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from drills.missing import Missing
from drills.scenario import Draw, Scenario
from drills.scenarios import s15

GONE = ("prometheus", "recordings", "prompt_registry")
"""What says how users fare, what is usual, and what the prompt was."""


def n40(draw: Draw) -> Scenario:
    """Answers are worse since a prompt was released, and what could tell whether it is the prompt is down."""
    made = s15(draw)
    return replace(
        made, good=(), tempting=(*made.tempting, "rollback_prompt"), solvable=False, undecidable=True,
        missing=tuple(Missing(source=source) for source in GONE),
    )  # fmt: skip


BLIND: Mapping[str, Callable[[Draw], Scenario]] = {"N40": n40}
