"""The card: what it says in every state, that it fits a phone and Slack, and that untrusted text stays text."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from bot.domain import detail, plan_card, wording
from bot.domain.ballot import Ballot
from bot.domain.card import Card, build, known_references, references
from bot.domain.incident import Status
from bot.domain.proposal import Effect, EffectState, Plan, ProposalState, VoteResult
from bot.domain.timeline import Provenance
from bot.domain.untrusted import FACT, clean, elide, escape, fact, quote
from bot.domain.untrusted import line as plain_line
from bot.domain.view import IncidentView, ProposalView
from bot.edges import slack_blocks
from diagnostics.model import Verdict, Weight
from tests.phone_states import STATES
from tests.view_samples import (
    AFTER,
    HOSTILE,
    INCIDENT,
    MANUAL_PLAN,
    OUTAGE_FINDINGS,
    PLAN,
    SAMPLES,
    at,
    proposal,
    provider_outage,
    timeline,
)

EVERY = pytest.mark.parametrize("name", SAMPLES)


def lines(card: Card, key: str) -> list[str]:
    return [
        " ".join(part for part in (each.mark, each.label, each.text) if part)
        for section in card.sections
        if section.key == key
        for each in section.lines
    ]


def everything(card: Card) -> str:
    texts = [card.headline, *(f"{each.label} {each.text}" for each in (*card.context, *card.banners))]
    for section in card.sections:
        texts += [section.title, *(f"{each.mark} {each.label} {each.text}" for each in section.lines)]
    return "\n".join(texts)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each)


def with_plan(plan: Plan, state: ProposalState = ProposalState.OPEN) -> IncidentView:
    return replace(provider_outage(), proposals=(ProposalView(proposal=proposal(plan, state)),))


# --- What it says ------------------------------------------------------------------------------------------------


def test_the_first_card_says_what_was_paged_and_that_nothing_is_known_yet() -> None:
    card = build(SAMPLES["received"]())

    assert card.headline == "Page received, nothing checked yet"
    assert "LLM error rate above 5 percent for 10 minutes" in card.context[1].text
    assert card.context[1].refs == ("#1",)


def test_probes_tick_from_running_to_their_outcome_with_the_number() -> None:
    card = build(SAMPLES["investigating"]())

    assert card.headline == "Looking into it: 6 of 9 probes done"
    assert "✗ user_signal errors: 34 % of user requests fail, 0.4 % normally" in lines(card, "probes")
    assert "✓ normal second_provider_canary, egress, rate_limit_headroom" in lines(card, "probes")
    assert "… running gateway_health, status_page, change_log" in lines(card, "probes")


def test_the_headline_says_what_is_going_on_and_how_sure() -> None:
    assert build(provider_outage()).headline == "Model provider is failing (97 % sure)"
    assert build(SAMPLES["no_fault"]()).headline == "No fault found (93 % sure)"
    assert build(SAMPLES["inconclusive"]()).headline == "Not sure. Best guess: Model provider is failing (46 %)"
    assert build(SAMPLES["verified"]()).headline.startswith("Mitigated: ")


def test_why_is_one_sentence_in_the_words_of_the_strongest_finding_with_its_evidence() -> None:
    causes = next(section for section in build(provider_outage()).sections if section.key == "causes")

    assert [each.text for each in causes.lines] == ["5 of 5 canaries to acme-openai ended with 503"]
    assert causes.lines[0].refs == ("ev-00000002", "ev-00000004")


def test_the_card_says_in_a_few_words_what_users_feel() -> None:
    felt = [each for each in build(provider_outage()).context if each.label == "Users"]

    assert [(each.text, each.refs) for each in felt] == [("34 % fail, normally 0.4 %", ("ev-00000001",))]
    assert "Users" not in [each.label for each in build(SAMPLES["resolved"]()).context]


def test_where_the_cause_is_not_sure_the_others_stay_on_the_card_with_what_rules_them_out() -> None:
    causes = next(section for section in build(SAMPLES["inconclusive"]()).sections if section.key == "causes")

    assert causes.lines[1].text.startswith("Rate limit exceeded 38 %")
    assert causes.lines[2].label == "Not"
    assert causes.lines[2].refs == ("ev-00000005",)


def test_the_card_says_who_owns_it() -> None:
    entries = timeline((1, "incident_acknowledged", Provenance.HUMAN, "slack:T0/U0ANA", {"by": "Ana Ruiz"}))

    assert "· team assist ·" in build(provider_outage()).context[0].text
    assert "· team assist, Ana Ruiz ·" in build(replace(provider_outage(), timeline=entries)).context[0].text


def test_a_proposal_shows_everything_that_its_hash_covers() -> None:
    text = everything(build(provider_outage()))

    for said in (
        "Proposed: Shift traffic",
        "llm-gateway/routes/chat",
        "weights.acme-openai: 100 → 0",
        "weights.beta-anthropic: 0 → 100",
        "R2: reversible, changes behaviour, cost or quality",
        PLAN.blast_radius,
        PLAN.undo,
        "gateway_canary is ok within 5 min",
        "set back 60 min after it helps",
        "with from = acme-openai, to = beta-anthropic, percent = 100",
        "Team assist decides by 12:18 UTC (0 of 1)",
        plan_card.code(PLAN.hash),
    ):
        assert said in text


def test_every_parameter_is_listed_whose_name_and_value_no_change_shows() -> None:
    params = {"purge": True, "notify": 1, "drain_s": 0, "route": "chat", "weights.acme-openai": "0"}
    plan = replace(PLAN, params=params, diff=(*PLAN.diff, ("a change that is true, 1 or 0", "1", "true")))

    assert f"Plan {plan.hash[:8]} with purge = true, notify = 1, drain_s = 0" in lines(build(with_plan(plan)), "terms")


def test_after_the_decision_the_card_says_who_decided_and_what_happens_now() -> None:
    state = lines(build(SAMPLES["approved"]()), "state")

    assert state == ["Approved by Ana Ruiz at 12:04 UTC", "Now being carried out since 12:04 UTC"]


def test_a_verified_mitigation_shows_before_and_after_and_the_lease() -> None:
    state = lines(build(SAMPLES["verified"]()), "state")

    assert "Verified it helped: gateway_canary server_error → ok, user_signal errors → recovered" in state
    assert "Lease goes back by itself at 13:04 UTC" in state


def test_what_a_mitigation_left_as_it_was_is_said_in_one_breath() -> None:
    view = SAMPLES["verified"]()
    ill = [replace(f, outcome="errors") if f.probe == "user_signal" else f for f in view.findings]
    state = lines(build(replace(view, findings=tuple(ill))), "state")

    assert "Verified it helped: gateway_canary server_error → ok, still user_signal errors" in state


def test_a_mitigation_that_did_not_help_is_shown_as_undone_and_hands_over_to_people() -> None:
    card = build(SAMPLES["made_worse"]())

    assert any(line.startswith("Undone set back at 12:09 UTC") for line in lines(card, "state"))
    assert lines(card, "next")[0].startswith("Next Two mitigations did not help: diagnose it with people.")


def test_what_is_unknown_is_said() -> None:
    unknown = lines(build(SAMPLES["inconclusive"]()), "unknown")

    assert unknown == ["? Unknown status_page", "Not explained gateway_canary"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (EffectState.CONFLICT, "no longer as it was"),
        (EffectState.FAILED, "nothing changed"),
        (EffectState.UNKNOWN, "may or may not have happened"),
    ],
)
def test_an_effect_that_did_not_end_well_says_what_is_true_of_the_target(state: EffectState, said: str) -> None:
    effect = Effect(id="pr-51c0de:apply", proposal_id="pr-51c0de", kind="apply", state=state, claimed_at=at(4))
    pv = ProposalView(proposal=proposal(state=ProposalState(state.value)), apply=effect)
    card = build(replace(provider_outage(), proposals=(pv,)))

    assert said in "\n".join(lines(card, "state"))
    assert lines(card, "next")


@pytest.mark.parametrize("state", [ProposalState.REJECTED, ProposalState.EXPIRED, ProposalState.SUPERSEDED])
def test_a_proposal_that_is_over_says_that_nothing_was_done(state: ProposalState) -> None:
    card = build(with_plan(PLAN, state))

    assert "approve" not in card.buttons
    assert lines(card, "next")
    assert not lines(card, "plan")


def test_an_earlier_attempt_stays_visible_beside_the_new_proposal() -> None:
    earlier = SAMPLES["made_worse"]().proposals[0]
    plan = replace(PLAN, attempt=2)
    view = replace(SAMPLES["made_worse"](), proposals=(earlier, ProposalView(proposal=proposal(plan, id="pr-2"))))

    assert "Attempt 1 Shift traffic: worse, undone" in lines(build(view), "state")


def test_proposals_that_were_taken_back_are_counted() -> None:
    gone = [ProposalView(proposal=proposal(id=f"pr-{n}", state=ProposalState.SUPERSEDED)) for n in range(4)]
    view = provider_outage()
    card = build(replace(view, proposals=(*gone, *view.proposals)))

    assert "4 earlier proposals taken back before anybody decided" in lines(card, "state")


def test_the_same_view_gives_the_same_card() -> None:
    assert build(provider_outage()) == build(provider_outage())


@EVERY
def test_every_card_says_what_to_do_next(name: str) -> None:
    assert len(lines(build(SAMPLES[name]()), "next")) == 1


@EVERY
def test_nothing_is_cited_that_does_not_exist(name: str) -> None:
    view = SAMPLES[name]()

    assert references(build(view)) <= known_references(view)


def test_a_citation_of_evidence_that_is_not_there_is_not_printed() -> None:
    view = replace(provider_outage(), findings=OUTAGE_FINDINGS[2:])

    assert "ev-00000002" not in json.dumps(slack_blocks.card_blocks(build(view)))


@EVERY
def test_every_statement_about_a_probe_or_a_cause_cites_its_evidence(name: str) -> None:
    card = build(SAMPLES[name]())
    about = [each for section in card.sections if section.key in ("probes", "causes") for each in section.lines]
    bare = [each for each in about if not each.refs]

    assert all(each.label in ("running", "Not ruled out") or "no finding" in each.text for each in bare)


# --- Buttons -----------------------------------------------------------------------------------------------------


def test_an_open_proposal_can_be_voted_on_and_asked_about() -> None:
    assert build(provider_outage()).buttons == (
        "approve", "reject", "edit", "another", "why", "acknowledge", "escalate",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["approved", "verified", "made_worse", "resolved", "no_fault"])
def test_after_a_decision_there_is_nothing_left_to_vote_on(name: str) -> None:
    assert not {"approve", "reject", "edit", "another"} & set(build(SAMPLES[name]()).buttons)


def test_while_more_people_are_awaited_the_card_says_who_has_approved_and_who_is_awaited_until_when() -> None:
    card = build(STATES["one_of_two"]())

    assert lines(card, "state") == ["Approved by Ana Ruiz at 12:04 UTC"]
    assert lines(card, "next") == ["Next 1 more of team assist by 12:18 UTC (1 of 2); else nothing is done."]
    assert "approve" in card.buttons


def test_a_verdict_can_be_given_once_it_is_over_and_only_of_a_cause_that_was_named() -> None:
    over = replace(SAMPLES["no_fault"](), incident=replace(INCIDENT, status=Status.CLOSED))

    assert build(SAMPLES["resolved"]()).buttons == ("right_cause", "wrong_cause", "noise", "why")
    assert build(over).buttons == ("noise", "why")
    assert not {"right_cause", "wrong_cause", "noise"} & set(build(SAMPLES["verified"]()).buttons)


def test_the_newest_verdict_of_each_person_stands_on_the_card() -> None:
    assert "Verdict right cause (Ana Ruiz); wrong cause (Ben Okafor)" in lines(build(STATES["closed"]()), "state")


def test_observe_mode_has_no_approve_button_and_says_why() -> None:
    card = build(SAMPLES["observe"]())

    assert not {"approve", "reject", "edit", "another"} & set(card.buttons)
    assert "did" in card.buttons
    assert "no Approve button: this service is in observe mode" in card.banners[0].text


def test_a_freeze_takes_the_approve_button_away_and_says_so_first() -> None:
    card = build(SAMPLES["frozen"]())

    assert "approve" not in card.buttons
    assert card.banners[0].label == "FROZEN"
    assert "change freeze until Monday" in card.banners[0].text


def test_a_manual_action_shows_the_exact_command_and_is_done_by_hand_after_approval() -> None:
    before, after = build(with_plan(MANUAL_PLAN)), build(SAMPLES["manual"]())

    assert "approve" in before.buttons
    assert "done" not in before.buttons
    assert "done" in after.buttons
    assert MANUAL_PLAN.instructions in everything(before)
    assert MANUAL_PLAN.instructions in everything(after)


def test_acknowledge_disappears_once_it_is_acknowledged() -> None:
    view = provider_outage()
    acknowledged = replace(view, incident=replace(INCIDENT, status=Status.ACKNOWLEDGED))

    assert "acknowledge" in build(view).buttons
    assert "acknowledge" not in build(acknowledged).buttons


def test_a_page_about_an_unknown_service_says_so() -> None:
    card = build(replace(SAMPLES["received"](), service=None, team=None))

    assert card.banners[0].label == "UNMAPPED"


# --- A plan that cannot be shown in full cannot be approved --------------------------------------------------------


def diff_of(value: str) -> Plan:
    return replace(PLAN, diff=(("weights", "100", value),))


@pytest.mark.parametrize(
    "plan",
    [
        diff_of("x" * 5_000),
        diff_of("safe\u202eetfihs"),
        diff_of("zero\u200bwidth"),
        diff_of("tag\U000e0041smuggled"),
        replace(PLAN, target="https://\u0430cme.example/routes"),
        replace(PLAN, params={**PLAN.params, "to": "b\u0435ta-anthropic"}),
        replace(PLAN, params={f"p{n}": n for n in range(40)}),
        replace(PLAN, diff=tuple((f"w{n}", "0", "1") for n in range(40))),
        replace(PLAN, undo="y" * 900),
        replace(MANUAL_PLAN, instructions="z" * 4_000),
        replace(MANUAL_PLAN, instructions="rm -rf \u202e/tmp"),
    ],
    ids=["5 KB", "right-to-left", "zero width", "tags", "homoglyph host", "homoglyph value", "many parameters",
         "many changes", "long undo", "long instructions", "reordered command"],
)  # fmt: skip
def test_a_plan_that_cannot_be_shown_in_full_has_no_approve_button(plan: Plan) -> None:
    card = build(with_plan(plan))

    assert plan_card.why_uninspectable(plan)
    assert "approve" not in card.buttons
    assert card.banners[0].label == "CANNOT BE APPROVED"


def test_a_look_alike_host_is_shown_as_what_it_is() -> None:
    shown = fact("https://\u0430cme.example/v1")

    assert "xn--" in shown.text
    assert not shown.whole


def test_a_long_fact_keeps_its_ends_and_says_how_long_it_is() -> None:
    shown = fact("start" + "x" * 5_000 + "end")

    assert len(shown.text) <= FACT
    assert shown.text.startswith("start")
    assert shown.text.endswith("end (5,008 characters)")


@pytest.mark.parametrize("value", ["100", "keep\nboth lines", "Grüße", "100 %", "a → b", ""])
def test_ordinary_values_are_shown_whole(value: str) -> None:
    assert plan_card.why_uninspectable(diff_of(value)) == ""


@given(st.text(max_size=400))
def test_whatever_is_shown_is_bounded_and_has_no_hidden_character(text: str) -> None:
    shown = fact(text)

    assert len(shown.text) <= FACT
    assert "\n" not in shown.text
    assert clean(shown.text)[1] == 0


@given(st.text(max_size=200))
def test_a_fact_that_is_called_whole_differs_from_its_original_in_line_breaks_and_tabs_only(text: str) -> None:
    shown = fact(text)

    if shown.whole:
        back = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\u23ce").replace("\t", " ")
        assert shown.text == back


# --- Block Kit -----------------------------------------------------------------------------------------------------


@EVERY
def test_blocks_keep_every_limit_of_slack(name: str) -> None:
    blocks = slack_blocks.card_blocks(build(SAMPLES[name]()))

    assert 0 < len(blocks) <= 50
    for parsed in Block.parse_all(blocks):
        parsed.validate_json()
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    assert len(ids) == len(set(ids))
    for each in objects(blocks):
        if each.get("type") in ("plain_text", "mrkdwn", "text"):
            assert 0 < len(each["text"]) <= 3_000
        if each.get("type") == "header":
            assert len(each["text"]["text"]) <= 150
        if each.get("type") in ("actions", "context"):
            assert 0 < len(each["elements"]) <= 10
        if each.get("type") == "button":
            assert len(each["text"]["text"]) <= 75
            assert len(each["value"]) <= 2_000
        if "deny" in each:
            assert len(each["title"]["text"]) <= 100
            assert len(each["text"]["text"]) <= 300


@EVERY
def test_the_card_has_no_text_that_slack_would_interpret(name: str) -> None:
    blocks = slack_blocks.card_blocks(build(SAMPLES[name]()))
    kinds = {each["type"] for each in objects(blocks) if "type" in each}

    assert kinds <= {
        "header", "context", "actions", "rich_text", "rich_text_section", "rich_text_preformatted", "text",
        "plain_text", "button",
    }  # fmt: skip


def test_untrusted_text_adds_no_block_no_button_and_no_mention() -> None:
    card = build(SAMPLES["hostile"]())
    blocks = slack_blocks.card_blocks(card)
    buttons = [each for each in objects(blocks) if each.get("type") == "button"]

    assert len([block for block in blocks if block["type"] == "actions"]) == 2
    assert len(buttons) == len(card.buttons)
    assert not [each for each in objects(blocks) if each.get("type") in ("user", "broadcast", "link", "usergroup")]
    assert "<" not in slack_blocks.fallback_text(card)
    assert "\u202e" not in json.dumps(blocks, ensure_ascii=False)


def test_the_fallback_text_is_cut_before_it_is_escaped() -> None:
    card = build(replace(provider_outage(), incident=replace(INCIDENT, service="<" * 4_000)))
    text = slack_blocks.fallback_text(card)

    assert text.count("&") == text.count("&lt;")
    assert len(text) <= 3_000


def test_a_button_carries_the_proposal_and_the_whole_hash_and_no_parameter() -> None:
    card = build(provider_outage())
    buttons = [each for each in objects(slack_blocks.card_blocks(card)) if each.get("type") == "button"]
    values = {each["action_id"]: each["value"] for each in buttons}

    assert values["pagerunner_approve"].startswith(f"pr-51c0de.{PLAN.hash}.")
    assert slack_blocks.pressed(values["pagerunner_approve"]) == slack_blocks.Pressed(
        proposal_id="pr-51c0de", plan_hash=PLAN.hash
    )
    assert values["pagerunner_why"] == INCIDENT.id
    assert not any("beta-anthropic" in value for value in values.values())


@pytest.mark.parametrize(
    "value",
    ["", "pr-51c0de", f"pr-51c0de.{PLAN.hash[:16]}.00000000", f"pr-51c0de.{PLAN.hash}.00000000",
     f"pr 1.{PLAN.hash}.00000000", f"../x.{PLAN.hash}.00000000"],
)  # fmt: skip
def test_a_value_that_is_not_from_our_card_is_not_read(value: str) -> None:
    assert slack_blocks.pressed(value) is None


def test_approve_asks_once_more_and_repeats_the_plan() -> None:
    buttons = [each for each in objects(slack_blocks.card_blocks(build(provider_outage()))) if "style" in each]
    approve = next(each for each in buttons if each.get("action_id") == "pagerunner_approve")

    assert approve["style"] == "primary"
    assert "weights.beta-anthropic: 0 → 100" in approve["confirm"]["text"]["text"]
    assert PLAN.undo in approve["confirm"]["text"]["text"]


def test_long_texts_of_ours_are_split_between_lines() -> None:
    blocks = slack_blocks.mrkdwn_blocks("\n".join(f"line {n} &lt;" + "x" * 90 for n in range(200)))

    assert all(len(block["text"]["text"]) <= 3_000 for block in blocks)
    assert all(block["text"]["text"].endswith("x") for block in blocks)


@given(st.text(alphabet=st.sampled_from("&<>lt;xyz"), min_size=2_900, max_size=3_400))
@settings(max_examples=30)
def test_a_cut_never_goes_through_an_entity(text: str) -> None:
    for block in slack_blocks.mrkdwn_blocks(escape(text)):
        shown = block["text"]["text"]
        assert len(shown) <= 3_000
        assert shown.count("&") == sum(shown.count(entity) for entity in ("&amp;", "&lt;", "&gt;"))


# --- Detail and words ----------------------------------------------------------------------------------------------


@EVERY
def test_the_detail_escapes_everything_and_keeps_it_in_code(name: str) -> None:
    for part in detail.detail(SAMPLES[name]()):
        assert "<" not in part
        assert "*Approved" not in part.replace("`", "\0").split("\0")[0]


def test_the_detail_lists_every_finding_and_how_each_cause_was_judged() -> None:
    (told,) = detail.detail(provider_outage())

    assert all(finding.id in told for finding in OUTAGE_FINDINGS)
    assert "+4.2 bits: provider_canary server_error is usual for it `ev-00000002`" in told
    assert "first: `provider-outage` 97 % `#4`" in told
    assert "is close in meaning (0.81)" in told


def test_a_second_diagnosis_is_told_as_what_became_stronger_or_weaker() -> None:
    def ranked(mode: str, share: float) -> dict[str, Any]:
        return {"ranked": [{"mode": mode, "probability": share}]}

    steps = (("provider-outage", 0.6), ("provider-outage", 0.8), ("egress-failure", 0.7))
    facts = [(n, "diagnosis_made", Provenance.COMPUTED, "pagerunner", ranked(*step)) for n, step in enumerate(steps)]
    told = detail.deltas(replace(provider_outage(), timeline=timeline(*facts)))

    assert told[2:] == [
        "12:01 UTC stronger: `provider-outage` 60 % → 80 % `#2`",
        "12:02 UTC new leader: `egress-failure` 70 % (before: `provider-outage` 80 %) `#3`",
    ]


def diagnosed(share: float, *, out: bool = False) -> dict[str, Any]:
    against = {"probe": "egress", "outcome": "ok", "weight": "rules_out", "evidence": "ev-00000005"}
    other = {"mode": "egress-failure", "probability": 0.01, **({"against": against} if out else {})}
    return {"ranked": [{"mode": "provider-outage", "probability": share}, other]}


def twice_investigated(*later: Any) -> IncidentView:
    computed, observed = Provenance.COMPUTED, Provenance.OBSERVED
    seen = {"evidence": OUTAGE_FINDINGS[4].id, "probe": "egress"}
    return replace(provider_outage(), timeline=timeline(
        (1, "diagnosis_made", computed, "pagerunner", diagnosed(0.62)),
        (2, "investigation_ended", computed, "pagerunner", {}),
        (4, "probe_finished", observed, "pagerunner", seen),
        (5, "diagnosis_made", computed, "pagerunner", diagnosed(0.99, out=True)), *later,
    ))  # fmt: skip


def test_another_investigation_tells_the_thread_only_what_became_stronger_what_was_ruled_out_and_what_is_new() -> None:
    (told,) = detail.detail(twice_investigated())
    rows = told.split("\n")

    assert rows[:3] == [
        "*What changed*",
        "12:05 UTC stronger: `provider-outage` 62 % → 99 % `#4`",
        "12:05 UTC ruled out: `egress-failure` (egress ok, `ev-00000005`)",
    ]
    assert [OUTAGE_FINDINGS[4].id in row for row in rows[3:]] == [False, True]


def test_what_the_thread_is_told_stays_the_same_until_there_is_something_new() -> None:
    ended = (6, "investigation_ended", Provenance.COMPUTED, "pagerunner", {})
    read = (7, "probe_finished", Provenance.OBSERVED, "pagerunner", {"evidence": OUTAGE_FINDINGS[0].id})
    once = timeline((1, "diagnosis_made", Provenance.COMPUTED, "pagerunner", diagnosed(0.62)))
    later = timeline((1, "diagnosis_made", Provenance.COMPUTED, "pagerunner", diagnosed(0.62)), ended)
    view = provider_outage()

    assert detail.detail(replace(view, timeline=once)) == detail.detail(replace(view, timeline=later))
    assert OUTAGE_FINDINGS[0].id not in detail.detail(twice_investigated(ended, read))[0]


def test_a_verification_tells_the_thread_what_was_read_before_and_after() -> None:
    pairs = [(OUTAGE_FINDINGS[2], AFTER[0])]
    told = detail.verified("Shift traffic", "better", pairs)

    assert told.startswith("*Verified*: Shift traffic: it helped\n*gateway_canary* server_error `5 of 5")
    assert AFTER[0].id in told


def test_quoted_text_cannot_leave_its_quotes() -> None:
    quoted = quote(HOSTILE)

    assert quoted.count("`") == 2
    assert "<" not in quoted


def test_every_result_has_its_words() -> None:
    assert set(wording.VOTES) == set(VoteResult)
    assert set(wording.VERDICTS) == set(Verdict)
    assert set(wording.WEIGHTS) == set(Weight)
    assert set(wording.STATUS) == set(Status)
    assert wording.vote(VoteResult.RECORDED, 1, 2).endswith("(1 of 2 so far)")


@pytest.mark.parametrize(
    ("said", "want"),
    [
        (wording.percent(0.9996), "> 99 %"),
        (wording.percent(0.0004), "< 0.1 %"),
        (wording.percent(0.015), "1.5 %"),
        (wording.percent(0.34), "34 %"),
        (wording.percent(1), "100 %"),
        (wording.seconds(0.834), "0.83 s"),
        (wording.duration(300), "5 min"),
        (wording.duration(90), "90 s"),
        (wording.duration(9_000), "2 h 30 min"),
        (wording.p_value(1e-9), "p < 0.001"),
        (wording.p_value(0.0312), "p = 0.031"),
        (wording.number(12345), "12,345"),
        (wording.usd(0.0013), "$ 0.0013"),
        (wording.action("http:flip-flag"), "Flip flag"),
        (elide("abc", 10), "abc"),
    ],
)
def test_numbers_are_said_so_that_they_never_look_surer_than_they_are(said: str, want: str) -> None:
    assert said == want


def test_a_ballot_belongs_to_one_plan() -> None:
    view: Callable[[], IncidentView] = provider_outage
    ballot = build(view()).ballot

    assert isinstance(ballot, Ballot)
    assert ballot.plan_hash == PLAN.hash


# --- What it says when nothing is looked into, and when it is over ----------------------------------------------------


def test_a_stale_page_says_that_it_is_stale_since_when_and_that_nothing_is_checked() -> None:
    old = replace(INCIDENT, started_at=at(-60 * 24 * 4), investigations=0)
    entries = timeline((0, "page_stale", Provenance.OBSERVED, "pagerduty:PDANA01", {"title": old.title}))
    card = build(replace(SAMPLES["received"](), incident=old, timeline=entries))

    assert "since 2026-11-18 12:00 UTC" in card.context[0].text
    assert card.banners[0].label == "STALE PAGE"
    assert "from 2026-11-18 12:00 UTC and arrived at 2026-11-22 12:00 UTC" in card.banners[0].text
    assert "Wait" not in lines(card, "next")[0]
    assert "this page is old" in lines(card, "next")[0]


def test_a_page_about_an_unknown_service_does_not_wait_for_probes_that_never_run() -> None:
    card = build(replace(SAMPLES["received"](), service=None, team=None))

    assert card.headline == "Page received, nothing checked"
    assert lines(card, "next")[0].startswith("Next A person must look: nothing is checked")


def asked_for_another(*more: Any) -> IncidentView:
    entries = timeline(
        (3, "investigation_ended", Provenance.COMPUTED, "pagerunner", {}),
        (4, "proposal_superseded", Provenance.HUMAN, "slack:T0/U0ANA", {"proposal": "pr-51c0de", "by": "Ana Ruiz"}),
        (4, "investigation_started", Provenance.HUMAN, "slack:T0/U0ANA", {"by": "Ana Ruiz"}), *more,
    )  # fmt: skip
    return replace(with_plan(PLAN, ProposalState.REJECTED), timeline=entries)


def test_who_asked_for_another_option_is_named_and_that_it_is_looked_for() -> None:
    card = build(asked_for_another())

    assert lines(card, "state") == ["Withdrawn Ana Ruiz asked for another option; it is being looked for"]
    assert lines(card, "next") == ["Next Wait. Ana Ruiz asked for another option; it is being looked for."]


def test_that_there_is_no_other_option_is_said_once_the_search_has_ended() -> None:
    passed = [{"step": "provider-outage#3", "why": "already tried or rejected"}]
    ended = (5, "investigation_ended", Provenance.COMPUTED, "pagerunner", {"passed_over": passed})
    card = build(asked_for_another(ended))

    assert lines(card, "state") == ["Withdrawn Ana Ruiz asked for another option"]
    assert "There is no other option (provider-outage#3: already tried or rejected)" in lines(card, "next")[0]


@pytest.mark.parametrize(("lane", "whom"), [("pager", "PagerDuty"), ("chat:C0ASSIST", "The thread")])
def test_what_could_not_be_delivered_stands_on_the_card_until_it_is_over(lane: str, whom: str) -> None:
    data = {"undeliverable": "status", "lane": lane, "why": "no PagerDuty API key is set"}
    entries = timeline((5, "alarm", Provenance.COMPUTED, "pagerunner", data))
    view = replace(provider_outage(), timeline=entries)
    (banner,) = build(view).banners

    assert banner.label == "NOT DELIVERED"
    assert banner.text == f"{whom} was not told: no PagerDuty API key is set"
    assert banner.refs == ("#1",)
    assert not build(replace(view, incident=replace(INCIDENT, status=Status.CLOSED))).banners


def test_a_card_that_is_over_speaks_of_the_past() -> None:
    card = build(SAMPLES["resolved"]())

    assert card.headline == "Resolved: it was “Model provider is failing” (97 % sure)"
    assert not lines(card, "probes")


def test_times_of_another_day_carry_their_date() -> None:
    late = replace(PLAN, expires_at=at(60 * 13))

    assert "by 2026-11-23 01:00 UTC" in everything(build(with_plan(late)))
    assert "by 12:18 UTC" in everything(build(provider_outage()))


def test_a_text_that_is_a_little_too_long_is_shown_whole_and_else_cut_after_a_word() -> None:
    words = "about " * 24

    assert plain_line(words[:130]) == words[:130]
    assert plain_line(words + "zone-a of the gateway").endswith("about…")
    assert "characters" not in plain_line(words * 3)
    assert len(plain_line("x" * 500)) == FACT
