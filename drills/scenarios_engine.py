"""Scenarios of the company's own inference engine: it is full, or one of its replicas is sick."""

from collections.abc import Callable

from drills.company import BY_NAME
from drills.documents import Setting
from drills.engine_state import REPLICAS, SCALE, USUAL_REPLICAS
from drills.faults import Fault
from drills.path import Cure
from drills.scenarios import Change, Draw, Scenario

SERVICE = "code-assistant"
FOREVER = 1e9


def f30(draw: Draw) -> Scenario:
    """Calls wait for a place in the engine: replicas were taken away, or every request carries more than it did."""
    taken = draw.pick("longer", "taken", name="how") == "taken"
    onset, wait, share = draw.before_page(360, 900), draw.between(1.5, 6.0, "wait_s"), draw.between(0.0, 0.06, "share")
    needed = USUAL_REPLICAS if taken else USUAL_REPLICAS + 1
    summary, before, after = (
        ("own-coder: smaller floor for the autoscaler", "4 replicas", "2 replicas")
        if taken
        else ("code-assistant: sends the open files as context", "5.2.0", "5.3.0")
    )
    change = Change(
        at=onset - draw.between(20, 240), kind="config" if taken else "deploy", service="*" if taken else SERVICE,
        summary=summary, before=before, after=after, actor=draw.pick("tomas", "priya", "jonas"),
    )  # fmt: skip
    fault = Fault(
        kind="engine_full", start=onset, end=onset + FOREVER, values={"wait_s": wait, "share": share},
        cures=(Cure(path=SCALE, key="replicas", at_least=needed),
               Cure(path=f"gateway/classes/{BY_NAME[SERVICE].route}/batch", key="admit_percent", at_most=20)),
    )  # fmt: skip
    return draw.make(
        truth=("inference-saturation",), service=SERVICE, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("shed_traffic", {}), ("scale_engine", {})),
        tempting=("shift_traffic", "scale_gateway", "drain_replica", "throttle_tenant"), sli=("errors", "ttft"),
        settings={SCALE: Setting(keys={"replicas": 2})} if taken else {}, changes=(change,),
        figures={"wait_s": wait, "share": share},
    )  # fmt: skip


def f31(draw: Draw) -> Scenario:
    """One of the replicas fails its requests, answers rubbish, or crashes again and again."""
    how = draw.pick("fails", "garbage", "crashes", name="how")
    onset, number = draw.before_page(480, 1200), int(draw.between(0, USUAL_REPLICAS, "replica"))
    share = 1.0 if how == "crashes" else draw.between(0.6, 1.0, "share")
    fault = Fault(
        kind="engine_replica", start=onset, end=onset + FOREVER, values={"replica": number, how: share},
        cures=(Cure(path=f"engine/replicas/{REPLICAS[number]}", key="drained", equals=True),),
    )  # fmt: skip
    return draw.make(
        truth=("inference-bad-replica",), service=SERVICE, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("drain_replica", {}),),
        tempting=("shift_traffic", "rollback_model_config", "scale_engine", "clamp_retries"),
        sli=("errors", "quality"), figures={"share": share, "replica": number},
    )  # fmt: skip


ENGINE_SCENARIOS: dict[str, Callable[[Draw], Scenario]] = {"F30": f30, "F31": f31}
