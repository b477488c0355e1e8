"""How ``$service.x`` is filled, and that nothing else is."""

import pytest

from runbooks.parse import parse
from runbooks.resolve import FIELDS, UndeclaredError, UnknownFieldError, applies, references, resolve
from tests.runbooks_fakes import WHOLE, catalogue

CATALOGUE = catalogue()
CHAT = CATALOGUE.services[0]
SUPPORT = CATALOGUE.services[1]
LONELY = CATALOGUE.services[2]


def test_a_reference_becomes_what_the_service_declares() -> None:
    params = {
        "from": "$service.provider",
        "to": "$service.fallback_provider",
        "m": "$service.fallback_model",
        "n": "10",
    }

    assert resolve(params, CHAT, CATALOGUE) == {"from": "acme", "to": "beta", "m": "beta-large", "n": "10"}


def test_a_reference_alone_keeps_its_type() -> None:
    service = CHAT.model_copy(update={"tools": ()})

    assert resolve({"slo": "$service.error_slo"}, CHAT, CATALOGUE) == {"slo": 0.01}
    with pytest.raises(UndeclaredError):
        resolve({"tools": "$service.tools"}, service, CATALOGUE)


def test_the_selector_is_the_name_unless_declared() -> None:
    assert resolve({"s": "$service.selector"}, CHAT, CATALOGUE) == {"s": "chat"}


def test_nested_values_are_filled() -> None:
    assert resolve({"a": {"b": ["$service.route", "x"]}}, CHAT, CATALOGUE) == {"a": {"b": ["default", "x"]}}


def test_inside_a_text_a_reference_is_filled_as_text() -> None:
    assert resolve({"t": "rotate the key of $service.provider, now"}, CHAT, CATALOGUE) == {
        "t": "rotate the key of acme, now"
    }


def test_a_value_that_could_mean_something_to_a_shell_never_enters_a_text() -> None:
    service = CHAT.model_copy(update={"model": "x; rm -rf /"})

    with pytest.raises(UndeclaredError, match="cannot stand inside a text"):
        resolve({"t": "use $service.model"}, service, CATALOGUE)
    assert resolve({"t": "$service.model"}, service, CATALOGUE) == {"t": "x; rm -rf /"}


@pytest.mark.parametrize(
    "text", ["{{ ''.__class__ }}", "${env:X}", "%(x)s", "$services.provider", "$service", "$HOME", "$provider", "a $ b"]
)
def test_anything_else_is_literal(text: str) -> None:
    assert resolve({"p": text}, CHAT, CATALOGUE) == {"p": text}


def test_what_the_service_does_not_declare_is_said_clearly() -> None:
    with pytest.raises(UndeclaredError) as caught:
        resolve({"to": "$service.fallback_provider"}, LONELY, CATALOGUE)

    assert str(caught.value) == "to: service 'lonely' declares no 'fallback_provider'; add it to the catalogue"
    assert (caught.value.parameter, caught.value.field) == ("to", "fallback_provider")


def test_a_field_that_no_service_has_is_another_error_with_the_nearest() -> None:
    with pytest.raises(UnknownFieldError, match="did you mean 'provider'"):
        resolve({"to": "$service.provder"}, CHAT, CATALOGUE)


def test_a_name_that_the_catalogue_does_not_declare_is_refused() -> None:
    stranger = CHAT.model_copy(update={"gateway": "elsewhere"})

    with pytest.raises(UndeclaredError, match="does not declare"):
        resolve({"g": "$service.gateway"}, stranger, CATALOGUE)


def test_a_key_with_nothing_after_it_means_the_default() -> None:
    assert resolve({"a": None, "b": "x"}, CHAT, CATALOGUE) == {"b": "x"}


def test_what_a_whole_service_declares_can_all_be_filled() -> None:
    everything = SUPPORT.model_copy(
        update={"fallback_model": "m", "gateway": "gw", "prompts": None, "prompt": "p", "golden_set": "g.jsonl"}
    )
    empty = {"prompts", "tools", "prometheus", "guardrail", "engine"}

    for field in set(FIELDS) - empty:
        assert resolve({"p": f"$service.{field}"}, everything, CATALOGUE)["p"] not in (None, "")


def test_references_are_found_wherever_they_stand() -> None:
    assert list(references({"a": ["$service.model", {"b": "x $service.route y"}], "c": 3})) == ["model", "route"]


def test_a_runbook_applies_by_name_tag_and_kind() -> None:
    def book(old: str, new: str) -> bool:
        runbook = parse(WHOLE.replace(old, new).encode(), "provider-outage.md").runbook
        assert runbook is not None
        return applies(runbook, CHAT)

    assert book("x", "x")
    assert book('["*"]', "[chat]")
    assert book('["*"]', "[public]")
    assert book('["*"]', '["tag:public"]')
    assert not book('["*"]', "[support]")
    assert book("severity: sev1", "kinds: [chat, rag]")
    assert not book("severity: sev1", "kinds: [rag]")
