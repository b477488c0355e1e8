"""Whether the support bot keeps to its documents: what it says to questions that they answer, and that they do not.

Ordinarily it names the document, or says that nothing is written about it. A route that is set to answer without a
source makes something up instead.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills import search
from drills.company import INDEX_OF, App
from drills.corpus import FRESH, INDEX, SET, paper_id
from drills.draws import uniform
from drills.golden import Item, items
from drills.search_http import ordered, retrieved

if TYPE_CHECKING:
    from drills.world import World

SETTING, ANYWAY = "on_no_source", "answer"
"""The key of a route's parameters, and its value for "answer all the same"."""
SLIPS = 0.02
"""Share of questions without an answer to which it makes one up on an ordinary day."""
ASTRAY = 0.35
"""Of what it could have answered: how often a loosened route names another document, as a part of the share."""
NOTHING = "I could not find this in our documents. Please contact support."
_NOT_IN_THE_CORPUS = (
    "May I bring my dog to your Lisbon office?", "What is the salary range of your support engineers?",
    "Which bank holds the company's escrow account?", "How much parental leave does a contractor get with you?",
    "Does the Scale plan come with a physical security token?", "Which insurance covers damage by your couriers?",
    "What is the warranty on the printed starter kit?", "Can I pay my invoice in Norwegian kroner by cheque?",
    "How long do you keep recordings of phone calls?", "Is the mobile app certified for use in cockpits?",
    "Which discount do fire brigades get on the Team plan?", "What time does the Vienna warehouse close on Sundays?",
    "Who audits your carbon offsets?", "Is there a bereavement rule for cancelled trainings?",
    "What is the maximum weight of a returned device?", "Can minors sign the enterprise contract?",
    "Which colour codes may resellers use on vehicles?", "Do you refund train tickets to the user conference?",
    "How many vending machines stand in the Oslo office?", "Which courts decide disputes with customers in Peru?",
    "What is the penalty for a late hardware return?", "May I name a pet as the billing contact?",
    "Which vaccine certificate do visitors need?", "Do you match donations made through the Student plan?",
    "How is overtime of on-site consultants invoiced?", "Is the Starter plan sold in petrol stations?",
    "Which museums get the Business plan free of charge?", "What does a replacement badge for the data hall cost?",
    "How often are the lifts in the Warsaw office inspected?", "Can I transfer loyalty points to my spouse?",
    "What is the dress code at onboarding workshops?", "Do you deliver welcome packs to offshore platforms?",
)  # fmt: skip


def _asked(item: Item) -> str:
    return f"According to your documents: {item.input}"


@lru_cache(maxsize=1)
def _answered() -> Mapping[str, Item]:
    """Questions whose document is found on an ordinary day."""
    lasting = [item for item in items(SET) if FRESH not in item.tags]
    return {
        _asked(item): item
        for item in lasting
        if paper_id(item) in {hit.paper.id for hit in search.find(_asked(item), search.SETTINGS)}
    }


def said(world: "World", app: App, text: str, at: float, nonce: str) -> str:
    """What the bot says to a question that is about its documents; empty: it is not one of them."""
    text = text.strip()
    item = _answered().get(text)
    if app.index != INDEX or (item is None and text not in _NOT_IN_THE_CORPUS):
        return ""
    obeyed = ordered(world, text, at, nonce)
    if obeyed:
        return obeyed
    loose = loosened(world, app, at)
    number = int(uniform(world.seed, "invented", text) * 40) + 1
    made_up = f"Yes, that is included and takes up to {number} working days [kb-{number:03d}]."
    if item is None or paper_id(item) not in retrieved(world, text, at, nonce):
        return made_up if uniform(world.seed, "unsourced", nonce) < max(loose, SLIPS) else NOTHING
    astray = uniform(world.seed, "astray", nonce) < loose * ASTRAY
    return f"{item.right} [kb-{(number + 7) % 60 + 100:03d}]" if astray else f"{item.right} [{paper_id(item)}]"


def loosened(world: "World", app: App, at: float) -> float:
    """Share of questions without a source that are answered all the same at this moment."""
    fault = world.stack.of("ungrounded")
    since = world.stack.since.get(f"gateway/params/{app.route}", -math.inf)
    if fault is None or at < since or not world.controls.unsourced[INDEX_OF[app.name]]:
        return 0.0
    return fault.values["share"]


def questions() -> list[dict[str, Any]]:
    """Both kinds, as the example catalogue's file has them."""
    found = [
        {"id": f"cites-{number:02d}", "question": text, "expect": "cite", "documents": [paper_id(item)]}
        for number, (text, item) in enumerate(list(_answered().items())[:24], start=1)
    ]
    unanswered = [
        {"id": f"refuses-{number:02d}", "question": text, "expect": "refuse"}
        for number, text in enumerate(_NOT_IN_THE_CORPUS, start=1)
    ]
    return [*found, *unanswered]


def write(folder: Path) -> None:
    """Write the file."""
    lines = [json.dumps(one, ensure_ascii=False) for one in questions()]
    (folder / f"{INDEX}-grounding.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent / "config" / "example" / "golden")
