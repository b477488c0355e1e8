"""What a game day came to: the people's run and a rehearsal of the same incident, side by side."""

import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.domain.view import IncidentView
    from runbooks.model import Library

Json = Mapping[str, Any]
ROWS = (
    ("Right cause first", "right_cause"), ("Time to the right cause", "to_cause_s"),
    ("Mitigated as it should be", "mitigated"), ("Time to mitigation", "to_mitigation_s"),
    ("Approvals", "approvals"), ("Wrong turns", "wrong_turns"), ("Unsafe actions", "unsafe"),
    ("Probes run", "probes_run"),
)  # fmt: skip


def scored(view: "IncidentView", score: Json) -> dict[str, Any]:
    """One run in a few figures: ``score`` is the referee's."""
    approvals = [
        {"action": one.proposal.plan.action, "after_s": _after(view, vote.at)}
        for one in view.proposals
        for vote in one.votes
        if vote.decision == "approve"
    ]
    wrong = list(score["wrong_actions"])
    return {
        "right_cause": score["top1"], "to_cause_s": score["ttd_s"], "truth": score["truth"],
        "mitigated": score["mitigation_success"], "to_mitigation_s": score["ttm_s"],
        "approvals": approvals,
        "wrong_turns": wrong, "unsafe": score["unsafe_actions"], "probes_run": score["probes_run"],
        "steps": [{"action": one.proposal.plan.action, "runbook": one.proposal.plan.runbook,
                   "state": one.proposal.state.value, "after_s": _after(view, one.proposal.created_at),
                   "result": one.apply.verdict if one.apply else ""} for one in view.proposals],
    }  # fmt: skip


def _after(view: "IncidentView", at: datetime) -> float:
    return round(max(0.0, (at - view.incident.started_at).total_seconds()), 1)


def reported(view: "IncidentView", library: "Library", catalogue: Any) -> dict[str, Any]:
    """What the people's run is scored by, in the referee's words."""
    from bot.cited import Registries  # noqa: PLC0415 - help must not wait for it
    from bot.rehearsed import report  # noqa: PLC0415
    from bot.wiring import actions, specs  # noqa: PLC0415

    known = Registries(library=library, probes=frozenset(specs()), actions=frozenset(actions()), catalogue=catalogue)
    return report(view, known, reverted=False)


def rehearsed(scenario: str | Mapping[str, Any], seed: int, start: float, runbooks: Path | None) -> dict[str, Any]:
    """The same incident in a world of its own, with an approver who agrees at once; in virtual time."""
    from bot.cli.evaluate import EXAMPLE  # noqa: PLC0415
    from bot.cli.installed import Installed  # noqa: PLC0415
    from bot.cli.runbook_library import embedder, searcher  # noqa: PLC0415
    from bot.rehearsal import Stage, World, rehearse  # noqa: PLC0415
    from config.settings import load_catalogue  # noqa: PLC0415
    from knowledge.ingest import documents  # noqa: PLC0415

    seen: list[IncidentView] = []
    world = World.start(secrets.token_hex(16))
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "catalogue.yaml"
            path.write_text(EXAMPLE.read_text("utf-8").replace("http://127.0.0.1:8900", world.url), "utf-8")
            catalogue = load_catalogue(path)
            shelf = shelf_of(runbooks, catalogue)
            librarian = searcher(documents(shelf.all()), embedder(Installed(None), words_only=False))
            stage = Stage(world=world, catalogue=catalogue, library=shelf, librarian=librarian,
                          golden_root=str(EXAMPLE.parent), seen=seen.append)  # fmt: skip
            score = rehearse(stage, scenario, seed, start)
    finally:
        world.stop()
    return scored(seen[-1], score)


def shelf_of(runbooks: Path | None, catalogue: Any) -> Any:
    """The built-in library and the runbooks of a folder, merged or not."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.wiring import actions, open_shelf  # noqa: PLC0415
    from runbooks.shelf import Folder  # noqa: PLC0415

    folders = [] if runbooks is None else [Folder(path=runbooks, may_act=True)]
    return open_shelf(folders, actions(), catalogue, SystemClock().now().date())


def text(scores: Json) -> list[str]:
    """The score as Markdown; names are those of the example company and of runbooks."""
    yours, other = scores["yours"], scores["rehearsal"]
    lines = [
        f"# Score of the drill {scores['scenario']}, seed {scores['seed']}", "",
        f"What it was: {', '.join(yours['truth']) or 'nothing was broken'}. {scores['ended']}", "",
        "| | You | Rehearsal, approved at once |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {what} | {_cell(yours[key])} | {_cell(other[key])} |" for what, key in ROWS]
    for title, one in (("What you did", yours), ("What the runbook would have done", other)):
        lines += ["", f"## {title}", "", *(_steps(one["steps"]) or ["Nothing was proposed."])]
    if yours["wrong_turns"]:
        lines += ["", f"Wrong turns (proposed, and not what mends this): {', '.join(yours['wrong_turns'])}."]
    return lines


def _steps(steps: Sequence[Json]) -> list[str]:
    return [
        f"- {one['after_s']:.0f} s: {one['action']} of {one['runbook']}: {one['state']}"
        + (f", {one['result']}" if one["result"] else "")
        for one in steps
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return str(len(value))
    return f"{value:.0f} s" if isinstance(value, float) else str(value)


def write(out: Path, scores: Json) -> None:
    """``score.md`` and ``score.json``, for the next game day to compare with."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "score.md").write_text("\n".join(text(scores)) + "\n", "utf-8")
    (out / "score.json").write_text(json.dumps(scores, indent=2, ensure_ascii=False) + "\n", "utf-8")
