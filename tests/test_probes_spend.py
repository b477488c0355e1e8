"""What the calls cost, and who pays for a rise: on a real socket."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.catalogue import ModelPrice, Prices
from config.settings import ConfigError, load_catalogue
from diagnostics.model import Reading
from diagnostics.probes.spend import Spend
from tests.conftest import ROOT
from tests.diagnosis_fakes import MovedClock, context
from tests.metrics_fakes import Curve, World, healthy, look, serving, step

SPEND = "litellm_spend_metric_total"
LIST = Prices(as_of=date(2026, 11, 1), models={
    "acme-large": ModelPrice(usd_per_1k_input=0.0025, usd_per_1k_output=0.01),
    "acme-premium": ModelPrice(usd_per_1k_input=0.02, usd_per_1k_output=0.08),
})  # fmt: skip


def spending(answers: Curve | float, titles: Curve | float = 0.25, *, dear: Curve | float = 0.0) -> World:
    """USD a minute of an application's two features, the second of which may go to a dearer model."""
    world = healthy()
    for feature, model, curve in (
        ("answers", "acme-large", answers), ("titles", "acme-large", titles), ("titles", "acme-premium", dear),
    ):  # fmt: skip
        for tenant, share in (("globex", 0.6), ("initech", 0.4)):
            part = (lambda m, c=curve, s=share: s * c(m)) if callable(curve) else share * curve
            world.counter(SPEND, part, end_user=tenant, model=model, metadata_feature=feature, metadata_prompt="chat")
    return world


async def test_an_ordinary_bill_is_ok() -> None:
    reading = await look(Spend(), spending(0.75))

    assert reading.outcome == "ok"
    assert reading.summary == "1.00 USD a minute, 1.0 times the usual 1.00 USD."


async def test_a_dearer_model_is_told_with_who_pays_for_it() -> None:
    world = spending(0.75, step(0.25, 0.0, at=-30), dear=step(0.0, 2.0, at=-30))
    reading = await look(Spend(), world)

    assert reading.outcome == "price_up"
    assert reading.value == pytest.approx(2.75, rel=0.02)
    assert reading.baseline == pytest.approx(1.0, rel=0.02)
    assert "a token costs 2.8 times the usual" in reading.summary
    assert "100 % of the rise is feature titles; 100 % of the rise is model acme-premium" in reading.summary
    assert [one["kind"] for one in reading.details["payers"]] == ["tenant", "feature", "model"]


async def test_more_tokens_at_the_usual_price_are_no_fault_of_the_price() -> None:
    world = spending(step(0.75, 2.25, at=-30), step(0.25, 0.75, at=-30))
    name = "gen_ai_client_token_usage_sum"
    tokens = [one for one in world.series[name] if one.labels.get("service") == "chat-assistant"]
    for one in tokens:
        one.curve = lambda minute, usual=one.curve: (usual(minute) or 0.0) * (3.0 if minute >= -30 else 1.0)
    reading = await look(Spend(), world)

    assert reading.outcome == "volume_up"
    assert "a token costs what it usually does" in reading.summary
    assert "75.0 % of the rise is feature answers" in reading.summary


async def test_a_failover_to_a_somewhat_dearer_vendor_is_ok() -> None:
    reading = await look(Spend(), spending(step(0.75, 1.05, at=-30), step(0.25, 0.35, at=-30)))

    assert reading.outcome == "ok"


async def by_list(world: World, prices: Prices | None) -> Reading:
    async with serving(world) as http:
        usual = context(clock=MovedClock())
        listed = usual.catalogue.model_copy(update={"prices": prices})
        return await Spend().run(replace(usual, http=http, catalogue=listed), Spend.spec.params())


def tokens_of(model: str, curve: Curve | float) -> World:
    world = healthy()
    world.counter("litellm_input_tokens_metric_total", 400_000.0, model="acme-large")
    world.counter("litellm_output_tokens_metric_total", 100_000.0, model="acme-large")
    world.counter("litellm_input_tokens_metric_total", curve, model=model)
    world.counter("litellm_output_tokens_metric_total", curve, model=model)
    return world


async def test_where_nobody_counts_money_tokens_are_priced_from_the_list() -> None:
    reading = await by_list(tokens_of("acme-premium", step(0.0, 100_000.0, at=-30)), LIST)

    assert reading.outcome == "price_up"
    assert reading.baseline == pytest.approx(2.0, rel=0.02)
    assert reading.value == pytest.approx(12.0, rel=0.02)
    assert "price list of 2026-11-01" in [one.source for one in reading.evidence][-2]


async def test_a_model_without_a_price_is_named() -> None:
    reading = await by_list(tokens_of("acme-next", 1000.0), LIST)

    assert reading.details["unpriced_models"] == ["acme-next"]
    assert reading.summary.endswith("Without a price: acme-next.")


@pytest.mark.parametrize("prices", [None, Prices(as_of=date(2026, 1, 1), models={"x": LIST.models["acme-large"]})])
async def test_nobody_who_counts_is_inconclusive(prices: Prices | None) -> None:
    assert (await by_list(tokens_of("acme-next", 1000.0), prices)).outcome == "inconclusive"


def test_a_price_list_says_of_what_day_it_is_and_has_no_nonsense() -> None:
    good = {"as_of": "2026-11-01", "models": {"m": {"usd_per_1k_input": 0.1, "usd_per_1k_output": 0.2}}}
    assert Prices.model_validate(good).as_of == date(2026, 11, 1)
    dear = {"m": {"usd_per_1k_input": -0.1, "usd_per_1k_output": 0.2}}
    for wrong in ({"models": good["models"]}, {**good, "models": {}}, {**good, "models": dear}, {**good, "euro": 1}):
        with pytest.raises(ValidationError):
            Prices.model_validate(wrong)


def test_a_wrong_price_is_refused_with_its_file_line_and_field(tmp_path: Path) -> None:
    text = (ROOT / "config" / "example" / "catalogue.yaml").read_text("utf-8")
    path = tmp_path / "catalogue.yaml"
    path.write_text(text.replace("acme-large: {usd_per_1k_input: 0.0025", "acme-large: {usd_per_1k_input: cheap"))

    with pytest.raises(ConfigError) as caught:
        load_catalogue(path)

    line = 1 + text[: text.index("acme-large: {usd")].count("\n")
    assert f"{path}:{line}:" in str(caught.value)
    assert "prices.models.acme-large.usd_per_1k_input" in str(caught.value)
