"""What users ask about: topics with shares of the questions, some harder than others, and the grades by topic.

An answer on a topic is good so many times as often as an average one; that belongs to the topic and never changes in a
world. So a shift to harder questions lowers the share of good answers although every topic is answered as well as
ever, and whatever makes answers worse lowers all topics alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from drills.company import APPS, INDEX_OF
from drills.draws import Floats

if TYPE_CHECKING:
    from drills.faults import Effects, Fault

TopicKind = Literal["topic_mix"]
TOPICS = ("account", "how-to", "billing", "integration")
HARD = TOPICS.index("integration")
USUAL = np.array([0.36, 0.28, 0.16, 0.20])
"""Shares of the topics on an ordinary day."""
USUAL_HARD = float(USUAL[HARD])
APART = np.array([0.004, 0.0, -0.009, 0.0])
"""How the easy topics differ from each other, relative to an average answer; their mean is nothing."""
USUAL_GAP = 0.20
"""How much more rarely an answer on the hard topic is good than on the others, relative to an average answer."""
TOPICAL = ("chat-assistant", "support-bot")
"""Services that sort their users' questions by topic, and grade every answer."""
GRADES = ("pass", "fail")


@dataclass(slots=True)
class TopicState:
    """What is asked."""

    hard: Floats
    """Share of the questions that are on the hard topic: moments x services."""
    gap: Floats
    """See :data:`USUAL_GAP`: by service, at all times."""

    @classmethod
    def usual(cls, rows: int) -> "TopicState":
        """An ordinary day."""
        return cls(hard=np.full((rows, len(APPS)), USUAL_HARD), gap=np.full(len(APPS), USUAL_GAP))

    def harder(self) -> Floats:
        """Factor on the share of good answers that the mix makes, exactly 1 for the usual one: moments x services."""
        factor: Floats = 1.0 + self.gap * (USUAL_HARD - self.hard)
        return factor

    def shares(self) -> Floats:
        """Share of each topic in the questions: moments x services x topics."""
        result = USUAL * ((1.0 - self.hard) / (1.0 - USUAL_HARD))[..., None]
        result[..., HARD] = self.hard
        return result

    def ease(self) -> Floats:
        """How often an answer on each topic is good, relative to an average one: services x topics."""
        hard = np.arange(len(TOPICS)) == HARD
        apart = np.where(hard, USUAL_HARD - 1.0, USUAL_HARD)
        result: Floats = 1.0 + self.gap[:, None] * apart + APART
        return result


def grades(state: TopicState, answered: Floats, good: Floats, stricter: Floats) -> Floats:
    """Answers a second that pass and that fail: moments x services x topics x grades. ``good``: the share of good
    answers, were the questions as usual; ``stricter``: how much lower the judge scores the same answers."""
    passing = np.clip(good[..., None] * state.ease() - stricter[..., None], 0.0, 1.0)
    asked = answered[..., None] * state.shares()
    both: Floats = np.stack([asked * passing, asked * (1.0 - passing)], axis=-1)
    return both[:, [INDEX_OF[name] for name in TOPICAL]]


def _topic_mix(result: "Effects", fault: "Fault", active: Floats) -> None:
    """More of the questions are hard; how hard they are was so before."""
    number, topics = INDEX_OF[fault.service], result.topics
    topics.gap[number] = fault.values["gap"]
    topics.hard[:, number] = np.where(active > 0.0, fault.values["hard"], topics.hard[:, number])


TOPIC_APPLY: Mapping[str, Callable[["Effects", "Fault", Floats], None]] = {"topic_mix": _topic_mix}
