"""The demo's terminal: tells what the timeline says, live, and lets the local person decide."""

import contextlib
import hashlib
import hmac
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

USERS_PATIENCE_S = 75.0
"""Worse answers take minutes to leave the users' window; the demo's monitor looks at the path itself after this."""
LONGEST_S = 300.0


class Server:
    """The running product, as PagerDuty and a local person see it."""

    def __init__(self, address: str, data: Path, secret: str, environment: Mapping[str, str]) -> None:
        import httpx  # noqa: PLC0415

        self._address = address
        self._secret = secret
        self._environment = environment
        token = (data / "token").read_text("ascii").strip()
        self._client = httpx.Client(
            base_url=f"{address}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=10
        )

    def send(self, event: Mapping[str, Any]) -> None:
        """Deliver a webhook, signed as PagerDuty signs."""
        import httpx  # noqa: PLC0415

        raw = json.dumps(event).encode()
        signature = hmac.new(self._secret.encode(), raw, hashlib.sha256).hexdigest()
        headers = {"x-pagerduty-signature": f"v1={signature}", "content-type": "application/json"}
        httpx.post(f"{self._address}/webhooks/pagerduty", content=raw, headers=headers, timeout=10).raise_for_status()

    def get(self, path: str, **query: str) -> Any:
        reply = self._client.get(path, params=query)
        reply.raise_for_status()
        return reply.json()

    def vote(self, proposal: str, decision: str) -> str:
        """``pagerunner approve`` or ``reject``, the very command, by the local person."""
        command = [sys.executable, "-m", "bot", decision, proposal, "--yes"]
        done = subprocess.run(command, env=dict(self._environment), capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip().rsplit("\n", 1)[-1]

    def now(self) -> str:
        return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How the demo ended: with an open proposal, with files, or why with neither."""

    proposal: str = ""
    files: tuple[str, ...] = ()
    why: str = ""


class Story:
    """Follows the one incident of the demo."""

    def __init__(self, server: Server, console: "Console", began: float, *, interactive: bool,
                 longest_s: float | None = None) -> None:  # fmt: skip
        self._server = server
        self._console = console
        self._began = began
        self._interactive = interactive
        self._longest_s = LONGEST_S if longest_s is None else longest_s
        self._seen = 0
        self._incident = ""
        self._asked = ""
        self._waits = ""

    def tell(self, *, patient: bool, on_mitigated: Callable[[], None]) -> Ending:
        """Until the postmortem is written; without patience, until the proposal is open or nothing is to be done."""
        helped = resolved = False
        while time.monotonic() - self._began < self._longest_s:
            facts = self._news()
            for fact in facts:
                self._line(fact)
            kinds = [fact["kind"] for fact in facts]
            verdicts = [fact["data"].get("verdict") for fact in facts if fact["kind"] == "verification_made"]
            if "incident_closed" in kinds:
                return Ending(files=tuple(self._files()))
            views = self._proposals()
            helped = helped or "better" in verdicts
            patient_still = time.monotonic() - self._began < USERS_PATIENCE_S
            if helped and not resolved and not (_users_are_read(views) and patient_still):
                resolved = True
                on_mitigated()
            proposal = next((v["proposal"] for v in views if _open(v) and v["proposal"]["votable"]), None)
            if proposal is not None and not patient:
                return Ending(proposal=proposal["id"])
            over = nothing_more(kinds, views)
            if over:
                return Ending(why=over)
            self._wait_for(waits_for(views))
            if proposal is not None and self._interactive:
                self._ask(proposal)
            time.sleep(0.25)
        return Ending(why=f"Stopped after {self._longest_s:.0f} s. {self._waits}: it did not come.")

    def incident(self) -> Mapping[str, Any] | None:
        """All that is known of the incident, as the internal export has it; None before there is one."""
        if not self._incident:
            return None
        whole: Mapping[str, Any] = self._server.get(f"/incidents/{self._incident}/export", format="json")
        return whole

    def _wait_for(self, what: str) -> None:
        """Say what is waited for, once for each."""
        if what != self._waits:
            self._waits = what
            self._print(f"[dim]{what} ...[/dim]")

    def _news(self) -> list[dict[str, Any]]:
        """The facts that are new since the last look."""
        if not self._incident:
            incidents = self._server.get("/incidents")
            if not incidents:
                return []
            self._incident = incidents[0]["id"]
        entries = self._server.get(f"/incidents/{self._incident}/timeline", after=str(self._seen))
        self._seen = entries[-1]["seq"] if entries else self._seen
        return [entry["fact"] for entry in entries]

    def _proposals(self) -> list[dict[str, Any]]:
        return list(self._server.get(f"/incidents/{self._incident}/proposals")) if self._incident else []

    def _files(self) -> list[str]:
        facts = [entry["fact"] for entry in self._server.get(f"/incidents/{self._incident}/timeline")]
        exported = [fact["data"]["files"] for fact in facts if fact["kind"] == "exported"]
        return list(exported[-1]) if exported else []

    def _ask(self, proposal: dict[str, Any]) -> None:
        """Ask once; the answer may as well come from the browser."""
        if proposal["id"] != self._asked:
            self._asked = proposal["id"]
            self._console.print(
                f"\n  [bold]Approve {proposal['id']} exactly as shown?[/bold] Type [bold]a[/bold] to approve, "
                "[bold]r[/bold] to reject, or click in the browser.", end=" "
            )  # fmt: skip
        with contextlib.suppress(OSError, ValueError):
            ready, _, _ = select.select([sys.stdin], [], [], 0)
            word = sys.stdin.readline().strip().lower() if ready else ""
            if word[:1] in ("a", "r"):
                decision = "approve" if word[0] == "a" else "reject"
                self._print(self._server.vote(proposal["id"], decision))

    def _print(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  {text}", soft_wrap=True)

    def _line(self, fact: dict[str, Any]) -> None:
        tell = _TELL.get(fact["kind"])
        if tell is not None:
            for line in tell(fact["data"]):
                self._print(line)


def _open(view: Mapping[str, Any]) -> bool:
    return bool(view["proposal"]["state"] == "open")


def _users_are_read(views: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a change helped, and users are read again until they are well."""
    effect = views[-1]["apply"] if views else None
    return effect is not None and effect["verdict"] == "better" and effect["next_check_at"] is not None


def nothing_more(kinds: Sequence[str], views: Sequence[Mapping[str, Any]]) -> str:
    """Why nothing will happen any more, as far as these new facts and proposals tell; empty if something may."""
    if "proposal_rejected" in kinds:
        return "Rejected: nothing was executed, and the demo ends here. A hint in the thread would start it again."
    if "investigation_ended" not in kinds or any(v["proposal"]["state"] in ("approved", "executing") for v in views):
        return ""
    shown = [view["proposal"] for view in views if _open(view)]
    if not shown:
        return f"Nothing {'more ' if views else ''}is proposed: see the diagnosis above. That is an answer, too."
    return "" if shown[-1]["votable"] else f"Nobody can approve this here: {shown[-1]['withheld']}."


def waits_for(views: Sequence[Mapping[str, Any]]) -> str:
    """What has to come next."""
    if not views:
        return "Waiting for the probes and the diagnosis"
    last = views[-1]
    plan, effect = last["proposal"]["plan"], last["apply"]
    if _open(last):
        return "Waiting for an approver's decision"
    if last["proposal"]["state"] in ("rejected", "expired", "superseded"):
        return "Waiting for another option"
    if effect is None or effect["state"] in ("pending", "claimed"):
        manual = plan["effect"] == "manual" and last["proposal"]["state"] in ("approved", "executing")
        return "Waiting for a person to do it and press Done" if manual else "Waiting for what comes of it"
    if _users_are_read(views):
        return "Waiting for users to be well again: their window still holds the time before"
    if effect["verdict"] == "better":
        return "Waiting for the monitor to see the recovery, and for the postmortem"
    if effect["state"] == "done" and not effect["verdict"]:
        return f"Waiting for the verification: {plan['verify_probe']} is {plan['verify_outcome']}"
    return "Waiting for another look at the cause"


def _probe(data: dict[str, Any]) -> list[str]:
    from rich.markup import escape  # noqa: PLC0415

    colour = {"normal": "green", "abnormal": "red"}.get(data["verdict"], "yellow")
    mark = {"normal": "ok", "abnormal": "!!"}.get(data["verdict"], "??")
    told = f"{data['probe']}: {data['outcome']}, {escape(data['summary'])}"
    return [f"  [{colour}]{mark}[/{colour}] {told} [dim]{data['evidence']}[/dim]"]


def _retrieved(data: dict[str, Any]) -> list[str]:
    from rich.markup import escape  # noqa: PLC0415

    lines = [
        f"[bold]Runbooks that fit[/bold] ({data['mode']}{': ' + escape(data['notice']) if data['notice'] else ''})"
    ]
    for match in data["matches"][:3]:
        reasons = "; ".join(escape(reason) for reason in match["reasons"][:2])
        lines.append(f"  {match['score']:.2f}  {match['runbook']}  [dim]{reasons}[/dim]")
    return lines


def _diagnosed(data: dict[str, Any]) -> list[str]:
    from bot.domain import wording  # noqa: PLC0415
    from diagnostics.model import Weight  # noqa: PLC0415

    ranked = ", ".join(f"{one['mode']} {wording.percent(one['probability'])}" for one in data["ranked"][:4])
    lines = [f"[bold]Differential[/bold] ({data['conclusion']}): {ranked}  [dim]{data['reason']}[/dim]"]
    for one in data["ranked"][1:4]:
        why = one.get("against")
        if why and why["weight"] in (Weight.AGAINST, Weight.RULES_OUT):
            said = wording.WEIGHTS[Weight(why["weight"])]
            lines.append(f"  Not {one['mode']}: {why['probe']} {why['outcome']} {said}  [dim]{why['evidence']}[/dim]")
    return lines


def _proposed(data: dict[str, Any]) -> list[str]:
    from rich.markup import escape  # noqa: PLC0415

    plan = data["plan"]
    lines = [f"[bold]Proposed[/bold] {data['proposal']}: {plan['action']} on {plan['target']}, risk {plan['risk']}"]
    lines += [f"  {escape(what)}: {escape(before)} -> {escape(after)}" for what, before, after in plan["diff"]]
    lines.append(f"  undo: {escape(plan['undo'])}")
    verify = f"{plan['verify_probe']} is {plan['verify_outcome']} within {plan['verify_within_s']} s"
    lines.append(f"  verify: {verify}; from {plan['runbook']}; plan {data['plan_hash'][:12]}")
    if data["withheld"]:
        lines.append(f"  not put to the vote: {escape(data['withheld'])}")
    return lines


def _verified(data: dict[str, Any]) -> list[str]:
    from rich.markup import escape  # noqa: PLC0415

    return [f"[bold]Verified: {data['verdict']}[/bold]. {escape(data['reason'])}"]


_TELL: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "incident_opened": lambda d: [f"[bold]Incident opened[/bold] for {d['service']} (team {d['team'] or 'none'})"],
    "runbooks_retrieved": _retrieved,
    "probe_finished": _probe,
    "diagnosis_made": _diagnosed,
    "proposal_made": _proposed,
    "proposal_withheld": _proposed,
    "vote_cast": lambda d: [f"[bold]{d['name']}[/bold] voted to {d['decision']} by way of {d['via']}"],
    "vote_denied": lambda d: [f"A vote by {d['name']} did not count: {d['denied']} {d['why']}"],
    "proposal_approved": lambda d: [f"Approved: exactly plan {d['plan_hash'][:12]}"],
    "effect_applied": lambda d: [f"[bold]Executed[/bold]: {d['detail']}"],
    "effect_reverted": lambda d: [f"[bold]Undone[/bold]: {d['detail']}"],
    "effect_conflict": lambda d: [f"Not executed: {d['detail']}"],
    "effect_failed": lambda d: [f"Failed: {d['detail']}"],
    "effect_unknown": lambda d: [f"Unknown: {d['detail']}"],
    "verification_made": _verified,
    "users_recovered": lambda d: [f"[bold]Users are well again[/bold]. {d['reason']}"],
    "users_not_recovered": lambda d: [f"Users are not known to be well: {d['reason']}"],
    "lease_started": lambda d: [f"Lease until {d['until'][11:19]} UTC, then it is put back by itself"],
    "incident_resolved": lambda _: ["The monitor recovered: [bold]incident resolved[/bold]"],
    "incident_closed": lambda _: ["[bold]Closed[/bold]; the postmortem is written"],
}
