"""What stands in the background of an incident: the second provider is not well either, or something harmless changed.

None of these is a scenario by itself: nobody would be paged for it. Scenario files put them beside other faults.
"""

from drills.company import BETA_HAIKU, BETA_SONNET, BY_NAME
from drills.faults import Fault
from drills.scenario import Change, Draw, Scenario

SECOND = (BETA_SONNET, BETA_HAIKU)
FOREVER = 1e9


def second_down(draw: Draw) -> Scenario:
    """The second provider answers with 5xx as well."""
    onset, share = draw.before_page(120, 300), draw.between(0.3, 1.0, "share")
    ends = onset + draw.between(60, 180, "minutes") * 60
    down = Fault(kind="outage", start=onset, end=ends, models=SECOND, values={"share": share})
    return draw.make(
        truth=("provider-outage",), service=draw.told("service", "chat-assistant"), onset=onset, ends=ends,
        faults=(down,), good=(("manual", {}),), tempting=("shift_traffic",), sli=("errors",), solvable=False,
        figures={"share": share},
    )  # fmt: skip


def second_broke(draw: Draw) -> Scenario:
    """The second provider's spend limit was reached some time ago."""
    onset = draw.before_page(3600, 7200)
    ends = onset + draw.between(180, 360, "minutes") * 60
    broke = Fault(kind="spend_limit", start=onset, end=ends, models=SECOND)
    return draw.make(
        truth=("quota-exhausted",), service=draw.told("service", "chat-assistant"), onset=onset, ends=ends,
        faults=(broke,), good=(("manual", {}),), tempting=("shift_traffic",), sli=("errors",), solvable=False,
    )  # fmt: skip


def harmless_prompt(draw: Draw) -> Scenario:
    """A prompt was released shortly before the page, and it is as good as the one before."""
    onset, service = draw.before_page(240, 600), draw.told("service", "chat-assistant")
    prompt = BY_NAME[service].prompt
    change = Change(
        at=onset, kind="prompt", service=service, summary=f"prompt {prompt}: friendlier wording", before="v12",
        after="v13", actor=draw.pick("mira", "jonas"),
    )  # fmt: skip
    return draw.make(
        truth=("no-fault",), service=service, onset=onset, ends=onset, faults=(), good=(),
        tempting=("rollback_prompt",), solvable=False, sli=("errors",), prompt_in_production={prompt: 13},
        prompt_deployed_at=onset, prompt_effects={prompt: {13: (0.0, 0.0)}}, changes=(change,),
    )  # fmt: skip
