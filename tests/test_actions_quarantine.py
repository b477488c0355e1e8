"""Which documents a quarantine is about is read once, named on the card, and checked as text from outside."""

import pytest

from bot.domain.plan_card import MAX_CHANGES
from bot.domain.untrusted import FACT
from runbooks.actions.quarantine_documents import MOST, QuarantineDocuments, QuarantineDocumentsParams
from runbooks.model import ActionError, Draft
from tests.actions_fakes import APPROVAL, World, came_in, serving

LIST = "/ingestion/support-kb/documents"
NOW = "2026-11-22T02:00:00Z"


async def drafted(world: World, **params: object) -> Draft:
    action = QuarantineDocuments()
    async with serving(world, "support-bot") as context:
        return await action.draft(context, QuarantineDocumentsParams.model_validate(params))


async def test_only_what_is_new_and_unreviewed_is_held() -> None:
    draft = await drafted(World())

    assert draft.post_state == {"documents": ["kb-old", "wiki-1"]}
    assert [(line.what, line.before) for line in draft.diff] == [("wiki-1", "searchable, from wiki by guest")]


async def test_many_documents_fit_on_a_card_and_every_one_is_named() -> None:
    world = World()
    ids = [f"wiki-{8841 + number}" for number in range(MOST)]
    world.facts[LIST] = {"documents": [came_in(one, NOW, "wiki", reviewed=False) for one in ids]}
    draft = await drafted(world)

    assert len(draft.diff) <= MAX_CHANGES
    assert all(len(line.what) <= FACT for line in draft.diff)
    assert ", ".join(line.what for line in draft.diff).split(", ") == ids


async def test_more_than_can_be_looked_at_is_left_to_people() -> None:
    world = World()
    found = [came_in(f"wiki-{number}", NOW, "wiki", reviewed=False) for number in range(MOST + 1)]
    world.facts[LIST] = {"documents": found}

    with pytest.raises(ActionError, match="at most 50"):
        await drafted(world)


async def test_what_comes_in_after_the_draft_is_not_held() -> None:
    world, action = World(), QuarantineDocuments()
    async with serving(world, "support-bot") as context:
        draft = await action.draft(context, QuarantineDocumentsParams.model_validate({}))
        world.facts[LIST]["documents"].append(came_in("wiki-2", NOW, "wiki", reviewed=False))
        await action.apply(context, draft, APPROVAL)

    assert world.docs["/ingestion/support-kb/quarantine"]["documents"] == ["kb-old", "wiki-1"]


async def test_documents_can_be_named() -> None:
    draft = await drafted(World(), documents=["kb-9", "kb-77"])

    assert draft.post_state == {"documents": ["kb-old", "kb-9", "kb-77"]}
    assert [line.before for line in draft.diff] == ["searchable, from cms by guest", "searchable"]


async def test_an_id_that_is_no_id_is_refused() -> None:
    world = World()
    world.facts[LIST] = {"documents": [came_in("wiki-1\n<!channel>", NOW, "wiki", reviewed=False)]}

    with pytest.raises(ActionError, match="documents"):
        await drafted(world)


@pytest.mark.parametrize("documents", [[], [came_in("kb-1", NOW, "cms", reviewed=True)]])
async def test_nothing_unreviewed_is_said(documents: list[object]) -> None:
    world = World()
    world.facts[LIST] = {"documents": documents}

    with pytest.raises(ActionError, match="nothing unreviewed"):
        await drafted(world)


async def test_what_is_held_already_is_said() -> None:
    with pytest.raises(ActionError, match="already"):
        await drafted(World(), documents=["kb-old"])
