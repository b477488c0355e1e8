"""Follow-ups from Slack, the command line and the API, and what ``doctor`` says of GitHub."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli import main
from bot.domain.followups import follow_ups
from bot.edges.checks_github import github
from bot.edges.slack_blocks import sealed
from bot.edges.slack_followups import CREATE
from config.catalogue import Catalogue
from config.settings import load
from tests.conftest import ROOT
from tests.duty_rig import DutyRig, duty_rig
from tests.github_fakes import REPO, TOKEN, Hub
from tests.incident_samples import ANA
from tests.test_followups import Case, case, replace_  # noqa: F401 - a fixture
from tests.web_fakes import Site, site


@dataclass
class Running:
    """Slack and GitHub, and all that is between them."""

    duty: DutyRig
    hub: Hub

    def buttons(self, user: str) -> list[tuple[str, dict[str, Any]]]:
        """Messages for this person alone that have our button: time and element."""
        found = []
        for message in self.duty.slack.workspace.channels["C0ASSIST"].messages.values():
            for block in message.payload.get("blocks", []) if message.only_for == user else []:
                found += [(message.ts, e) for e in block.get("elements", []) if e.get("action_id") == CREATE]
        return found

    async def press(self, user: str) -> str:
        ts, element = self.buttons(user)[-1]
        before = len(self.duty.told(user))
        done = await self.duty.slack.acts.act(user, "C0ASSIST", ts, element["action_id"])
        assert done.ok, done.error
        await self.duty.deliver()
        return "\n".join(self.duty.told(user)[before:])


@pytest.fixture
async def running(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[Running]:
    teams = tuple(replace_(team, REPO) if team.name == "assist" else team for team in catalogue.teams)
    hub = Hub()
    async with (
        hub.serving() as url,
        duty_rig(tmp_path, catalogue.model_copy(update={"teams": teams}), hub=url) as rig,
    ):
        yield Running(duty=rig, hub=hub)


class TestSlack:
    async def test_a_follow_up_is_noted_with_the_person_who_is_mentioned(self, running: Running) -> None:
        told = await running.duty.type("U0ANA", "/oncall followup raise the quota of acme <@U0BEN>")

        (one,) = follow_ups(await running.duty.view())
        assert (one.text, one.owner) == ("raise the quota of acme", "ben")
        assert told == f"Follow-up #{one.entry} of {running.duty.incident}, owner ben."
        assert any("noted what is to follow, owner `ben`: `raise the quota of acme`" in t
                   for t in running.duty.thread())  # fmt: skip

    async def test_push_shows_exactly_what_would_be_created_and_creates_it_when_pressed(self, running: Running) -> None:
        duty = running.duty
        await duty.type("U0ANA", "/oncall followup raise the quota @ben")
        told = await duty.type("U0ANA", "/oncall followup push")
        ts, button = running.buttons("U0ANA")[-1]
        shown = json.dumps(duty.slack.workspace.channels["C0ASSIST"].messages[ts].payload["blocks"])
        assert running.hub.created() == []

        answer = await running.press("U0ANA")
        again = await running.press("U0ANA")
        await duty.deliver()

        assert "1 issue would be created in acme/assistants, redacted for: company." in told
        assert button["text"]["text"] == "Create 1 issue"
        (issue,) = running.hub.created()
        for line in (issue["title"], *issue["body"].splitlines()):
            assert json.dumps(line)[1:-1] in shown
        assert "/archives/C0ASSIST/p" in issue["body"]
        assert "1 issue in acme/assistants will be created" in answer
        assert again
        assert len(running.hub.issues[REPO]) == 1
        assert any(f"|{REPO}#1> was made of follow-up" in text for text in duty.thread())

    async def test_what_changed_since_it_was_shown_is_not_created(self, running: Running) -> None:
        await running.duty.type("U0ANA", "/oncall followup one")
        await running.duty.type("U0ANA", "/oncall followup push")
        await running.duty.type("U0BEN", "/oncall followup two")

        assert "not what was shown any more" in await running.press("U0ANA")
        assert running.hub.created() == []

    async def test_a_forged_button_creates_nothing(self, running: Running) -> None:
        await running.duty.type("U0ANA", "/oncall followup one")
        await running.duty.type("U0ANA", "/oncall followup push")
        _, element = running.buttons("U0ANA")[-1]
        element["value"] = "not-ours"
        assert "not one of mine" in await running.press("U0ANA")
        element["value"] = sealed(running.duty.incident, "0" * 64)
        assert "not what was shown any more" in await running.press("U0ANA")
        assert running.hub.created() == []

    async def test_after_it_is_closed_the_incident_is_named_and_this_is_how(self, running: Running) -> None:
        duty = running.duty
        await duty.flow.desk.command(duty.incident, "resolve", ANA)
        unnamed = await duty.type("U0ANA", "/oncall followup write a runbook")
        named = await duty.type("U0ANA", f"/oncall followup {duty.incident} write a runbook")
        listed = await duty.type("U0ANA", f"/oncall followup list {duty.incident}")

        assert f"/oncall followup {duty.incident} …" in unnamed
        assert named.startswith("Follow-up #")
        assert "write a runbook  (no owner; no issue yet)" in listed
        assert "There is no incident" in await duty.type("U0ANA", "/oncall followup inc-none write")
        assert "Say what is to be done" in await duty.type("U0ANA", f"/oncall followup {duty.incident}")

    async def test_help_tells_of_it(self, running: Running) -> None:
        assert "followup [INCIDENT] TEXT [@OWNER] | list | push" in await running.duty.type("U0ANA", "/oncall help")

    async def test_without_a_token_it_says_so(self, tmp_path: Path, catalogue: Catalogue) -> None:
        teams = tuple(replace_(team, REPO) for team in catalogue.teams)
        async with duty_rig(tmp_path, catalogue.model_copy(update={"teams": teams})) as duty:
            await duty.type("U0ANA", "/oncall followup one")
            assert "set PAGERUNNER_GITHUB_TOKEN" in await duty.type("U0ANA", "/oncall followup push")


class TestTheCommandLineAndTheApi:
    async def test_the_whole_way_from_a_terminal(self, case: Case, tmp_path: Path) -> None:  # noqa: F811
        async with _served(case, tmp_path) as environ:
            added = await _run(environ, "add", case.incident, "raise the quota", "--owner", "Ben Okafor")
            declined = await _run(environ, "push", case.incident, stdin="n\n")
            assert case.hub.created() == []
            pushed = await _run(environ, "push", case.incident, stdin="y\n")
            await case.deliver()
            listed = await _run(environ, "list", case.incident)
            again = await _run(environ, "push", case.incident, "--yes")

        assert "owner Ben Okafor" in added.output
        assert (declined.exit_code, "Nothing was created." in declined.output) == (1, True)
        (issue,) = case.hub.created()
        assert issue["title"] in pushed.output
        assert issue["body"] in pushed.output
        assert "1 issue in acme/assistants will be created" in pushed.output
        assert f"raise the quota  (Ben Okafor; {REPO}#1)" in listed.output
        assert f"https://github.example/{REPO}/issues/1" in listed.output
        assert (again.exit_code, "has its issue" in again.output) == (1, True)

    async def test_what_the_api_refuses_has_a_reason(self, case: Case) -> None:  # noqa: F811
        async with site(records=case.rig.records, follow=case.follow()) as here:
            plan = await _get(here, f"/incidents/{case.incident}/followups/plan")
            assert "has no follow-ups" in plan["refused"]
            stale = await here.client.post(f"/api/v1/incidents/{case.incident}/followups/push",
                                           json={"plan_hash": "0" * 64}, headers=here.api())  # fmt: skip
            assert stale.status_code == 409
            bad = await here.client.post(f"/api/v1/incidents/{case.incident}/followups", json={"text": "x" * 2000},
                                         headers=here.api())  # fmt: skip
            assert bad.status_code == 422
            nobody = await here.client.get(f"/api/v1/incidents/{case.incident}/followups")
            assert nobody.status_code == 401
        async with site(records=case.rig.records) as without:
            none = await without.client.post(f"/api/v1/incidents/{case.incident}/followups", json={"text": "x"},
                                             headers=without.api())  # fmt: skip
            assert none.status_code == 503


class TestDoctor:
    async def test_a_token_and_repositories_that_work_are_well(self, catalogue: Catalogue) -> None:
        hub, named = Hub(), _named(catalogue)
        async with hub.serving() as url:
            found, clocks = await github(url, TOKEN, named)

        assert [(one.name, one.state) for one in found] == [("GitHub", "ok"), (f"GitHub {REPO}", "ok")]
        assert "only the first one shows" in found[1].detail
        assert {method for method, _, _ in hub.requests} == {"GET"}
        assert len(clocks) == 1

    @pytest.mark.parametrize(
        ("about", "said"),
        [({"archived": True}, "archived"), ({"has_issues": False}, "switched off")],
    )  # fmt: skip
    async def test_a_repository_in_which_nothing_can_be_written_is_a_problem(
        self, catalogue: Catalogue, about: dict[str, Any], said: str
    ) -> None:
        hub = Hub()
        hub.repositories[REPO] |= about
        async with hub.serving() as url:
            found, _ = await github(url, TOKEN, _named(catalogue))
        assert (found[1].state, said in found[1].detail) == ("problem", True)

    async def test_each_thing_that_is_wrong_says_what_to_do(self, catalogue: Catalogue) -> None:
        hub, named = Hub(), _named(catalogue)
        async with hub.serving() as url:
            wrong, _ = await github(url, "github_pat_wrong", named)
            gone, _ = await github(url, TOKEN, _named(catalogue, "acme/gone"))
            hub.scopes = "read:org"
            weak, _ = await github(url, TOKEN, named)
            hub.scopes = "repo, read:org"
            classic, _ = await github(url, TOKEN, named)
        nobody, _ = await github("http://127.0.0.1:9", TOKEN, named)
        unset, _ = await github("https://api.github.com", "", named)
        off, _ = await github("https://api.github.com", "", catalogue)

        assert (wrong[0].state, "wrong or has expired" in wrong[0].detail) == ("problem", True)
        assert (gone[1].state, "no repository acme/gone" in gone[1].detail) == ("problem", True)
        assert (weak[0].state, "no issue can be written" in weak[0].detail) == ("problem", True)
        assert classic[0].state == "ok"
        assert (nobody[0].state, "cannot be reached" in nobody[0].detail) == ("problem", True)
        assert (unset[0].state, "PAGERUNNER_GITHUB_TOKEN" in unset[0].fix) == ("problem", True)
        assert (off[0].state, "not used" in off[0].detail) == ("ok", True)


def test_a_repository_is_named_as_owner_and_name(catalogue: Catalogue) -> None:
    with pytest.raises(ValueError, match="github_repository"):
        type(catalogue.teams[0]).model_validate({"name": "x", "slack_channel": "C1", "github_repository": "no slash"})


def test_the_token_is_a_secret_and_forms_are_checked() -> None:
    settings = load({"PAGERUNNER_GITHUB_TOKEN": TOKEN, "PAGERUNNER_DRAFTS": "html, pdf"})
    assert TOKEN in settings.secrets()
    assert TOKEN not in repr(settings)
    assert settings.drafts == ("html", "pdf")
    from config.settings import ConfigError

    with pytest.raises(ConfigError, match="drafts"):
        load({"PAGERUNNER_DRAFTS": "doc"})
    with pytest.raises(ConfigError, match="followups_redaction"):
        load({"PAGERUNNER_FOLLOWUPS_REDACTION": "public"})


def _named(catalogue: Catalogue, repository: str = REPO) -> Catalogue:
    teams = tuple(replace_(team, repository) if team.name == "assist" else team for team in catalogue.teams)
    return catalogue.model_copy(update={"teams": teams})


async def _get(here: Site, path: str) -> Any:
    return (await here.client.get(f"/api/v1{path}", headers=here.api())).json()


class _served:  # noqa: N801 - reads as what it does
    """A server of this case's incident, and the environment in which the command line finds it."""

    def __init__(self, one: Case, folder: Path) -> None:
        self._site = site(records=one.rig.records, follow=one.follow())
        self._folder = folder

    async def __aenter__(self) -> dict[str, str]:
        from tests.web_fakes import TOKEN as API_TOKEN

        here = await self._site.__aenter__()
        await asyncio.to_thread(self._write, f"http://127.0.0.1:{here.port}", API_TOKEN)
        catalogue = str(ROOT / "config/example/catalogue.yaml")
        return {"PAGERUNNER_DATA": str(self._folder), "PAGERUNNER_CATALOGUE": catalogue}

    def _write(self, address: str, token: str) -> None:
        (self._folder / "address").write_text(address, "ascii")
        (self._folder / "token").write_text(token, "ascii")

    async def __aexit__(self, *error: object) -> None:
        await self._site.__aexit__(*error)


async def _run(environ: dict[str, str], *words: str, stdin: str = "") -> Result:
    return await asyncio.to_thread(
        CliRunner().invoke, main, ["followups", *words], env=environ, prog_name="pagerunner", input=stdin
    )
