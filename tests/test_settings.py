"""Settings: every mistake is told with its key, its place and what to do, all at once, and no secret is ever shown."""

import json
import pickle
import re
from pathlib import Path

import pytest

from bot.cli.assembly import target_secrets
from config import strict_yaml
from config.catalogue import Catalogue
from config.settings import SECRET_LISTS, SECRETS, ConfigError, Settings, load
from tests.conftest import ROOT

EXAMPLE = ROOT / "config" / "example" / "pagerunner.yaml"
TOKEN = "xoxb-1234567890-abcdefSECRET"


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "pagerunner.yaml"
    path.write_text(text, "utf-8")
    return path


def problems(environ: dict[str, str], path: Path | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(environ, path)
    return caught.value.problems


class TestWhereSettingsComeFrom:
    def test_without_anything_there_are_defaults_and_nothing_is_switched_on(self) -> None:
        settings = load({})
        assert (settings.host, settings.port, settings.slack) == ("127.0.0.1", 8080, "off")
        assert settings.secrets() == ()
        assert settings.export_folder == Path(".pagerunner/exports")

    def test_the_environment_wins_over_the_file(self, tmp_path: Path) -> None:
        path = settings_file(tmp_path, "port: 9000\nlog_level: DEBUG\n")
        settings = load({"PAGERUNNER_PORT": "9001"}, path)
        assert (settings.port, settings.log_level) == (9001, "DEBUG")

    def test_the_file_may_be_named_in_the_environment(self, tmp_path: Path) -> None:
        assert load({"PAGERUNNER_CONFIG": str(settings_file(tmp_path, "port: 9000\n"))}).port == 9000

    def test_paths_in_the_file_are_relative_to_it_and_absolute_ones_stay(self, tmp_path: Path) -> None:
        path = settings_file(tmp_path, "data: state\ncatalogue: /etc/catalogue.yaml\nrunbooks: [books, /srv/books]\n")
        settings = load({}, path)
        assert settings.data == tmp_path / "state"
        assert settings.catalogue == Path("/etc/catalogue.yaml")
        assert settings.runbooks == (tmp_path / "books", Path("/srv/books"))

    def test_lists_in_the_environment_are_split(self) -> None:
        settings = load({"PAGERUNNER_RUNBOOKS": "a:b", "PAGERUNNER_PAGERDUTY_SECRETS": "one, two"})
        assert settings.runbooks == (Path("a"), Path("b"))
        assert [secret.get_secret_value() for secret in settings.pagerduty_secrets] == ["one", "two"]

    def test_oauth_says_everything_that_it_needs_each_with_its_key(self) -> None:
        told = problems({"PAGERUNNER_SLACK": "socket", "PAGERUNNER_SLACK_CLIENT_ID": "1.2",
                         "PAGERUNNER_SLACK_BOT_TOKEN": TOKEN, "PAGERUNNER_SLACK_APP_TOKEN": "xapp-1"})  # fmt: skip
        assert [one.split(": ")[1] for one in told] == [
            "slack", "slack_client_secret", "slack_bot_token", "slack_app", "slack_team", "public_url",
        ]  # fmt: skip
        assert told[2].startswith("environment variable PAGERUNNER_SLACK_BOT_TOKEN: ")
        assert not any(TOKEN in one for one in told)

    def test_oauth_that_has_everything_needs_no_token(self) -> None:
        whole = {"SLACK": "http", "SLACK_SIGNING_SECRET": "s", "SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "c",
                 "SLACK_APP": "A0PAGERUN", "SLACK_TEAM": "T0LOOP", "PUBLIC_URL": "https://oncall.example.com",
                 "SLACK_TOKEN_KEYS": "one, two"}  # fmt: skip
        settings = load({f"PAGERUNNER_{key}": value for key, value in whole.items()})
        assert settings.oauth
        assert len(settings.slack_token_keys) == 2

    @pytest.mark.parametrize("url", ["http://oncall.example.com", "https://a.example/path", "oncall.example.com"])
    def test_the_public_address_is_https_and_nothing_more(self, url: str) -> None:
        (told,) = problems({"PAGERUNNER_PUBLIC_URL": url})
        assert told.startswith("environment variable PAGERUNNER_PUBLIC_URL: public_url: ")

    def test_settings_are_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load({}).port = 1  # type: ignore[misc]


class TestErrors:
    def test_every_problem_is_told_at_once_with_its_place(self, tmp_path: Path) -> None:
        path = settings_file(tmp_path, "# mine\nport: many\n\nlog_level: LOUD\nprot: 1\n")
        told = problems({"PAGERUNNER_BASELINE_EVERY_S": "1"}, path)
        assert len(told) == 4
        text = "\n".join(told)
        assert f"{path}:2:1: port: " in text
        assert "got 'many'" in text
        assert f"{path}:4:1: log_level: " in text
        assert "'DEBUG', 'INFO', 'WARNING' or 'ERROR'" in text
        assert f"{path}:5:1: prot: unknown key; remove it or correct its spelling" in text
        assert "environment variable PAGERUNNER_BASELINE_EVERY_S: baseline_every_s: " in text
        assert "greater than or equal to 30" in text

    @pytest.mark.parametrize(
        ("mode", "key", "where"),
        [
            ("socket", "slack_bot_token", "xoxb-"),
            ("socket", "slack_app_token", "connections:write"),
            ("http", "slack_signing_secret", "Basic Information"),
        ],
    )
    def test_a_missing_token_is_told_with_where_to_get_it(self, mode: str, key: str, where: str) -> None:
        told = "\n".join(problems({"PAGERUNNER_SLACK": mode}))
        assert f"{key}: needed for" in told
        assert where in told

    def test_a_file_that_is_not_there_says_how_to_get_one(self, tmp_path: Path) -> None:
        (told,) = problems({}, tmp_path / "none.yaml")
        assert told == f"{tmp_path}/none.yaml: no such file; `pagerunner init` writes one to start from"

    def test_broken_yaml_is_told_with_line_and_column(self, tmp_path: Path) -> None:
        path = settings_file(tmp_path, "port: 1\nport: 2\n")
        assert problems({}, path) == [f"{path}:2:1: key 'port' stands here twice"]

    def test_a_file_that_is_no_mapping_is_refused(self, tmp_path: Path) -> None:
        path = settings_file(tmp_path, "- port\n- 8080\n")
        (told,) = problems({}, path)
        assert told.startswith(f"{path}:1:1: ")
        assert "key: value" in told

    @pytest.mark.parametrize("text", ["runbooks: books\n", "runbooks:\n  a: b\n", "data: [a]\n", "data:\n  x: y\n"])
    def test_a_path_of_the_wrong_shape_is_an_error_and_no_guess(self, text: str, tmp_path: Path) -> None:
        path = settings_file(tmp_path, text)
        (told,) = problems({}, path)
        assert told.startswith(f"{path}:1:1: {text.split(':', 1)[0]}: ")


class TestSecrets:
    def test_no_form_of_the_settings_shows_one(self) -> None:
        environ = {f"PAGERUNNER_{name.upper()}": f"{name}-hunter2-value" for name in SECRETS}
        several = {f"PAGERUNNER_{name.upper()}": "first-hunter2,second-hunter2" for name in SECRET_LISTS}
        settings = load({**environ, **several})
        forms = (
            repr(settings),
            str(settings),
            settings.model_dump_json(),
            json.dumps(settings.model_dump(mode="json")),
        )
        assert not any("hunter2" in form for form in forms)
        assert len(settings.secrets()) == len(SECRETS) + 4
        assert all("hunter2" in secret for secret in settings.secrets())

    def test_no_error_shows_one(self, tmp_path: Path) -> None:
        path = settings_file(
            tmp_path,
            f"slack_bot_token: [{TOKEN}]\nslack_app_token: {{a: {TOKEN}}}\npagerduty_secrets: {{a: {TOKEN}}}\n"
            f"pagerduty_api_key: [{TOKEN}]\nslack_bot_tokn: {TOKEN}\nchanges_token: [{TOKEN}]\nport: no\n",
        )
        with pytest.raises(ConfigError) as caught:
            load({"PAGERUNNER_SLACK": "socket"}, path)
        shown = [str(caught.value), repr(caught.value), repr(pickle.dumps(caught.value.args))]
        assert not any("SECRET" in text for text in shown)
        assert caught.value.__cause__ is None
        assert len(caught.value.problems) >= 6

    def test_every_setting_that_is_a_secret_is_known_for_redaction(self) -> None:
        typed = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
        assert typed == {*SECRETS, *SECRET_LISTS}

    def test_credentials_of_targets_come_from_the_environment_alone(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ACME_OPENAI_KEY", "sk-1")
        monkeypatch.delenv("BETA_ANTHROPIC_KEY", raising=False)
        assert target_secrets(catalogue) == {"ACME_OPENAI_KEY": "sk-1"}


class TestTheExample:
    """config/example/pagerunner.yaml, which ``pagerunner init`` writes."""

    def test_it_loads_as_it_is(self) -> None:
        settings = load({}, EXAMPLE)
        assert settings.catalogue == EXAMPLE.parent / "catalogue.yaml"
        assert settings.slack == "off"

    def test_it_names_every_setting_and_nothing_else(self) -> None:
        assert set(_keys()) == set(Settings.model_fields)

    def test_what_it_shows_as_defaults_are_the_defaults(self, tmp_path: Path) -> None:
        shown = {
            key: text for key, text in _keys().items() if text not in ("...", "xoxb-...", "xapp-...", "github_pat_...")
        }
        for key in ("embedder", "exports", "http_actions", "templates"):
            del shown[key]  # an example of a path, where the default is none or follows from another setting
        path = settings_file(tmp_path, "".join(f"{key}: {text}\n" for key, text in shown.items()))
        settings, default = load({}, path), Settings()
        for key in shown:
            value = getattr(settings, key)
            value = value.relative_to(tmp_path) if isinstance(value, Path) else value
            assert value == getattr(default, key), key

    def test_it_holds_no_secret(self) -> None:
        assert load({}, EXAMPLE).secrets() == ()


def _keys() -> dict[str, str]:
    """Every key of the example, whether set or commented out, with its text."""
    found: dict[str, str] = {}
    for line in EXAMPLE.read_text("utf-8").splitlines():
        match = re.fullmatch(r"(?:# )?([a-z_]+): ?(\S.*)", line)
        if match and match[1] in Settings.model_fields:
            assert match[1] not in found, match[1]
            found[match[1]] = match[2]
        elif match and not line.startswith("#"):
            pytest.fail(f"not a setting: {line}")
    assert isinstance(strict_yaml.load(EXAMPLE.read_text("utf-8")).value, dict)
    return found
