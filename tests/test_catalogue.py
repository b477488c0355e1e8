"""The catalogue: every reference is checked, mistakes are told with their place, and what is not granted is refused."""

from pathlib import Path
from typing import Any

import pytest

from bot.domain.approval import Requirement, requirement, stricter
from config import strict_yaml
from config.catalogue import Catalogue, Policy, Rule, Service, Team
from config.settings import ConfigError, load_catalogue
from diagnostics import golden
from runbooks.actions.http_action_file import load_http_actions
from tests.conftest import ROOT

EXAMPLE = ROOT / "config" / "example"
SMALL = """\
fallback_channel: C0ALL
targets:
  - {name: api, base_url: "https://api.example.com"}
providers:
  - {name: acme, api: openai, target: api, models: [large]}
teams:
  - name: web
    slack_channel: C0WEB
services:
  - name: chat
    kind: chat
    team: web
    provider: acme
    model: large
"""


def loaded(folder: Path, text: str) -> Catalogue:
    path = folder / "catalogue.yaml"
    path.write_text(text, "utf-8")
    return load_catalogue(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return [told.removeprefix(f"{folder}/catalogue.yaml:") for told in caught.value.problems]


class TestErrors:
    def test_the_small_one_loads(self, tmp_path: Path) -> None:
        catalogue = loaded(tmp_path, SMALL)
        assert catalogue.service("chat") == catalogue.services[0]
        assert catalogue.service("nothing") is None

    def test_every_dangling_reference_is_told_with_the_nearest_name(self, tmp_path: Path) -> None:
        text = SMALL.replace("target: api", "target: apy").replace("team: web", "team: wep")
        assert problems(tmp_path, text + "    gateway: main\n") == [
            "5:31: providers.acme.target: no such name in targets: 'apy'; did you mean 'api'?",
            "12:5: services.chat.team: no such name in teams: 'wep'; did you mean 'web'?",
            "15:5: services.chat.gateway: no such name in gateways: 'main'",
        ]

    def test_a_name_with_a_dot_in_it_is_found_too(self, tmp_path: Path) -> None:
        text = SMALL.replace("name: chat", "name: chat.v1").replace("team: web", "team: wep")
        assert problems(tmp_path, text)[0].startswith("12:5: services.chat.v1.team: ")

    def test_a_misspelt_key_is_told_with_line_and_column(self, tmp_path: Path) -> None:
        (told,) = problems(tmp_path, SMALL + "    dashbords: []\n")
        assert told == "15:5: services.0.dashbords: unknown key; remove it or correct its spelling"

    def test_several_mistakes_are_told_at_once(self, tmp_path: Path) -> None:
        text = SMALL.replace("api: openai", "api: opnai").replace("kind: chat", "kind: chatt") + "    error_slo: much\n"
        told = problems(tmp_path, text)
        assert [one.split(": ")[1] for one in told] == ["providers.0.api", "services.0.kind", "services.0.error_slo"]
        assert "(got 'opnai')" in told[0]
        assert "12:" in told[1] or "11:" in told[1]

    def test_what_is_missing_is_named(self, tmp_path: Path) -> None:
        told = problems(tmp_path, SMALL.replace("    model: large\n", "").replace("fallback_channel: C0ALL\n", ""))
        assert [one.split(": ")[1] for one in told] == ["services.0.model", "fallback_channel"]

    @pytest.mark.parametrize("name", ["Chat", "-chat", "chat bot", "../chat", "chat;x", "ch\u0430t", ""])
    def test_a_name_is_plain(self, name: str, tmp_path: Path) -> None:
        assert problems(tmp_path, SMALL.replace("- name: chat", f'- name: "{name}"'))

    def test_a_name_twice_is_refused(self, tmp_path: Path) -> None:
        (told,) = problems(tmp_path, SMALL + "  - {name: chat, kind: chat, team: web, provider: acme, model: large}\n")
        assert "services: 'chat' is declared twice" in told

    def test_a_pagerduty_service_has_one_owner(self, tmp_path: Path) -> None:
        other = "  - {name: rag, kind: rag, team: web, provider: acme, model: large, pagerduty_services: [P1]}\n"
        (told,) = problems(tmp_path, SMALL + "    pagerduty_services: [P1]\n" + other)
        assert "PagerDuty service P1 is claimed by 'chat' and 'rag'" in told

    @pytest.mark.parametrize(
        "text", ["a: &x 1\nb: *x\n", "a: !!python/object/apply:os.system [id]\n", "a: !x y\n", "a: 1\na: 2\n", "a: [\n"]
    )
    def test_yaml_that_can_surprise_is_refused(self, text: str, tmp_path: Path) -> None:
        (told,) = problems(tmp_path, text)
        assert told.split(":")[0].isdecimal()

    def test_an_empty_file_says_what_is_missing(self, tmp_path: Path) -> None:
        told = problems(tmp_path, "# nothing yet\n")
        assert told == [f"1:1: {key}: Field required" for key in ("teams", "services", "fallback_channel")]


class TestPolicy:
    """Who may approve what."""

    def _service(self, **more: Any) -> Service:
        fields = {"name": "chat", "kind": "chat", "team": "web", "provider": "acme", "model": "large", **more}
        return Service.model_validate(fields)

    def test_without_a_rule_nobody_may(self) -> None:
        assert Policy().rules == ()
        assert requirement(Policy(), self._service(), "R0") is None

    def test_a_rule_speaks_of_one_risk_alone(self) -> None:
        policy = Policy(rules=(Rule(services=("*",), risk="R1", count=1),))
        assert requirement(policy, self._service(), "R1") == Requirement(count=1, team="web")
        assert requirement(policy, self._service(), "R0") is None
        assert requirement(policy, self._service(), "R2") is None

    def test_the_strictest_rule_that_matches_counts(self) -> None:
        rules = (
            Rule(services=("*",), risk="R2", count=1),
            Rule(services=("tag:safety",), risk="R2", count=2, team="trust"),
        )
        policy = Policy(rules=rules)
        assert requirement(policy, self._service(), "R2") == Requirement(count=1, team="web")
        assert requirement(policy, self._service(tags=("safety",)), "R2") == Requirement(count=2, team="trust")

    @pytest.mark.parametrize("count", [0, -1, 6])
    def test_a_rule_needs_one_to_five_people(self, count: int) -> None:
        with pytest.raises(ValueError, match="count"):
            Rule(services=("*",), risk="R1", count=count)

    def test_a_rule_about_an_unknown_service_is_refused(self, tmp_path: Path) -> None:
        text = SMALL + "policy:\n  rules:\n    - {services: [chta], risk: R1, count: 1}\n"
        (told,) = problems(tmp_path, text)
        assert "policy.rules.0.services: no such name in services: 'chta'; did you mean 'chat'?" in told

    def test_a_runbook_can_only_make_a_risk_stricter(self) -> None:
        assert (stricter("R2", None), stricter("R2", "R1"), stricter("R1", "R3")) == ("R2", "R2", "R3")

    def test_nobody_approves_unless_named(self) -> None:
        approvers = Team(name="web", slack_channel="C0").approvers
        assert (approvers.slack_users, approvers.slack_groups, approvers.local) == ((), (), False)

    def test_a_new_service_observes(self) -> None:
        assert self._service().mode == "observe"


class TestTheExample:
    """The company that ``pagerunner init`` writes and ``pagerunner demo`` runs on."""

    def test_it_shows_what_the_catalogue_is_for(self, catalogue: Catalogue) -> None:
        assert {service.kind for service in catalogue.services} == {
            "chat", "rag", "agent", "code", "moderation-text", "moderation-voice", "generation-image",
            "generation-material",
        }  # fmt: skip
        assert len(catalogue.teams) == 3
        assert {service.team for service in catalogue.services} == {team.name for team in catalogue.teams}

    def test_every_team_has_a_channel_of_its_own_and_approvers(self, catalogue: Catalogue) -> None:
        assert len({team.slack_channel for team in catalogue.teams}) == 3
        assert all(team.approvers.slack_users and team.pagerduty_escalation_policy for team in catalogue.teams)
        everybody = [user for team in catalogue.teams for user in team.approvers.slack_users]
        assert len(everybody) == len(set(everybody))

    def test_a_page_finds_its_service_and_nothing_else_does(self, catalogue: Catalogue) -> None:
        found = catalogue.service_of_pagerduty("PSVCMODTEXT")
        assert found is not None
        assert (found.name, found.team) == ("text-moderation", "trust")
        assert catalogue.service_of_pagerduty("") is None
        assert catalogue.service_of_pagerduty("PSVC") is None

    def test_no_risk_is_open_to_services_that_only_observe_beyond_the_harmless(self, catalogue: Catalogue) -> None:
        for service in (one for one in catalogue.services if one.mode == "observe"):
            assert requirement(catalogue.policy, service, "R2") is None
            assert requirement(catalogue.policy, service, "R3") is None

    def test_spending_or_safety_needs_two(self, catalogue: Catalogue) -> None:
        chat = catalogue.service("chat-assistant")
        assert chat is not None
        assert requirement(catalogue.policy, chat, "R3") == Requirement(count=2, team="assist")

    def test_its_golden_sets_load(self, catalogue: Catalogue) -> None:
        named = [service.golden_set for service in catalogue.services if service.golden_set]
        assert [len(golden.load(EXAMPLE / name).items) for name in named] == [60, 60, 60]

    def test_its_declared_actions_load_and_are_named_after_what_exists(self, catalogue: Catalogue) -> None:
        path = EXAMPLE / "http-actions.yaml"
        text = path.read_text("utf-8")
        targets = [target.name for target in catalogue.targets]
        (action,) = load_http_actions(text, str(path), targets=targets)
        assert (action.spec.name, action.spec.risk, action.spec.reversible) == ("pause_ingestion", "R1", True)
        assert action.spec.params.model_validate({"index": "support-kb"})

    def test_the_action_that_is_commented_out_would_load_too(self, catalogue: Catalogue) -> None:
        text = (EXAMPLE / "http-actions.yaml").read_text("utf-8")
        head, _, tail = text.partition("  # - name: switch_feature")
        whole = head + "  - name: switch_feature" + tail.replace("\n  #   ", "\n    ")
        actions = load_http_actions(whole, "http-actions.yaml", targets=["ingestion", "feature-flags"])
        assert [action.spec.name for action in actions] == ["pause_ingestion", "switch_feature"]


class TestTheManifest:
    """config/example/slack-manifest.yaml."""

    def manifest(self) -> Any:
        return strict_yaml.load((EXAMPLE / "slack-manifest.yaml").read_text("utf-8")).value

    def test_socket_mode_and_interactivity_are_on(self) -> None:
        settings = self.manifest()["settings"]
        assert settings["socket_mode_enabled"] == "true"
        assert settings["interactivity"]["is_enabled"] == "true"

    def test_it_subscribes_to_what_is_listened_to(self) -> None:
        events = self.manifest()["settings"]["event_subscriptions"]["bot_events"]
        assert events == [
            "app_home_opened", "app_mention", "message.channels", "message.groups", "reaction_added",
            "reaction_removed",
        ]  # fmt: skip
        (shortcut,) = self.manifest()["features"]["shortcuts"]
        assert (shortcut["type"], shortcut["callback_id"]) == ("message", "add_to_timeline")
        assert self.manifest()["features"]["app_home"]["home_tab_enabled"] == "true"
        assert [one["command"] for one in self.manifest()["features"]["slash_commands"]] == ["/oncall"]

    def test_each_scope_stands_there_once_and_none_writes_more_than_messages_and_files(self) -> None:
        scopes = self.manifest()["oauth_config"]["scopes"]["bot"]
        assert len(scopes) == len(set(scopes))
        assert {one for one in scopes if one.endswith((":write", ":manage", ":join"))} == {"chat:write", "files:write"}
        assert "user" not in self.manifest()["oauth_config"]["scopes"]

    def test_slack_limits_on_its_texts_are_kept(self) -> None:
        manifest = self.manifest()
        assert len(manifest["display_information"]["name"]) <= 35
        assert len(manifest["display_information"]["description"]) <= 140
        (command,) = manifest["features"]["slash_commands"]
        assert len(command["description"]) <= 2_000
        assert len(command["usage_hint"]) <= 1_000
