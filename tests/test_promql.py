"""The PromQL subset: grammar, errors, and the semantics of rate, increase, staleness and quantiles."""

import numpy as np
import pytest

from drills.columns import COLUMNS, COUNTERS
from drills.promql import PromqlError, parse
from drills.promql_eval import Source, Vector, evaluate
from drills.store import Series, Store


def counter(times: list[float], *columns: list[float]) -> Store:
    """A store whose first raw columns hold these running totals."""
    store = Store()
    counts = np.zeros((len(times), COUNTERS))
    for number, values in enumerate(columns):
        counts[:, number] = np.diff([0.0, *values])
    store.append(np.array(times), counts, np.zeros((len(times), COLUMNS - COUNTERS)), np.ones(len(times)))
    return store


def ask(store: Store, query: str, *moments: float, series: list[Series]) -> Vector:
    catalogue: dict[str, list[Series]] = {}
    for one in series:
        catalogue.setdefault(one.name, []).append(one)
    return evaluate(parse(query), Source(store=store, catalogue=catalogue), np.array(moments))


def made(name: str, column: int, **labels: str) -> Series:
    return Series(name, {"__name__": name, **labels}, (column,))


GRID = [15.0 * n for n in range(41)]
STEADY = counter(GRID, [3.0 * n + 1000.0 for n in range(41)], [6.0 * n + 1000.0 for n in range(41)])
TWO = [made("m_total", 0, service="a", status="200"), made("m_total", 1, service="a", status="500")]


def test_increase_is_extrapolated_to_the_whole_window() -> None:
    # Twenty samples lie inside, which cover 285 of 300 seconds.
    found = ask(STEADY, 'increase(m_total{status="200"}[5m])', 600.0, series=TWO)
    assert found[(("service", "a"), ("status", "200"))][0] == pytest.approx(60.0)


def test_rate_is_increase_over_the_window() -> None:
    found = ask(STEADY, 'rate(m_total{status="500"}[5m])', 600.0, series=TWO)
    assert next(iter(found.values()))[0] == pytest.approx(0.4)


def test_a_counter_is_not_extrapolated_below_zero() -> None:
    store = counter([300.0, 315.0, 330.0], [0.0, 10.0, 20.0])
    found = ask(store, "increase(m_total[5m])", 330.0, series=[made("m_total", 0)])
    assert found[()][0] == pytest.approx(20.0)


def test_a_window_with_one_sample_gives_nothing() -> None:
    store = counter([0.0, 600.0], [1.0, 2.0])
    assert ask(store, "increase(m_total[1m])", 600.0, series=[made("m_total", 0)]) == {}


def test_aggregation_keeps_the_labels_it_is_told() -> None:
    found = ask(STEADY, "sum by (status) (increase(m_total[5m]))", 600.0, series=TWO)
    assert {dict(labels)["status"]: round(values[0]) for labels, values in found.items()} == {"200": 60, "500": 120}


def test_aggregation_may_name_its_labels_afterwards() -> None:
    before = ask(STEADY, "sum by (status) (m_total)", 600.0, series=TWO)
    after = ask(STEADY, "sum(m_total) by (status)", 600.0, series=TWO)
    assert {k: v[0] for k, v in before.items()} == {k: v[0] for k, v in after.items()}


@pytest.mark.parametrize(("name", "wanted"), [("max", 1240), ("min", 1120), ("avg", 1180), ("count", 2), ("sum", 2360)])
def test_all_aggregates(name: str, wanted: float) -> None:
    assert ask(STEADY, f"{name}(m_total)", 600.0, series=TWO)[()][0] == wanted


def test_a_stale_series_gives_nothing() -> None:
    assert ask(STEADY, "m_total", 899.0, series=TWO)
    assert all(np.isnan(values[0]) for values in ask(STEADY, "m_total", 901.0, series=TWO).values())


def test_matchers_anchor_regular_expressions() -> None:
    assert len(ask(STEADY, 'm_total{status=~"20"}', 600.0, series=TWO)) == 0
    assert len(ask(STEADY, 'm_total{status=~"2..|5.."}', 600.0, series=TWO)) == 2
    assert len(ask(STEADY, 'm_total{status!~"5.*"}', 600.0, series=TWO)) == 1
    assert len(ask(STEADY, 'm_total{absent=""}', 600.0, series=TWO)) == 2


def test_histogram_quantile_is_linear_inside_a_bucket() -> None:
    store = counter(GRID, *[[scale * n for n in range(41)] for scale in (1.0, 3.0, 4.0)])
    buckets = [made("h_bucket", n, le=le) for n, le in enumerate(("0.1", "0.5", "+Inf"))]
    found = ask(store, "histogram_quantile(0.5, sum by (le) (rate(h_bucket[5m])))", 600.0, series=buckets)
    assert found[()][0] == pytest.approx(0.1 + 0.4 * 0.5)


def test_a_quantile_in_the_last_bucket_is_its_lower_bound() -> None:
    store = counter(GRID, *[[scale * n for n in range(41)] for scale in (1.0, 3.0, 4.0)])
    buckets = [made("h_bucket", n, le=le) for n, le in enumerate(("0.1", "0.5", "+Inf"))]
    found = ask(store, "histogram_quantile(0.99, h_bucket)", 600.0, series=buckets)
    assert found[()][0] == 0.5


def test_a_range_sees_each_moment() -> None:
    found = ask(STEADY, 'm_total{status="200"}', 0.0, 150.0, 300.0, series=TWO)
    assert next(iter(found.values())).tolist() == [1000.0, 1030.0, 1060.0]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sum(", "unexpected 'end of input'"),
        ("m{a=1}", "expected string"),
        ("m{a~1}", "unexpected character"),
        ('m{a=~"("}', "error parsing regexp"),
        ("rate(m)", "range vector"),
        ("m[5m]", "range vector needs rate"),
        ("m offset 5m", "'offset' is not supported"),
        ("a + b", "unexpected character '+'"),
        ("sum without (a) (m)", "'without' is not supported"),
        ("topk(3, m)", "unknown function"),
        ("{a='b'}", "needs a metric name"),
        ("sum by (le (m)", "unexpected"),
        ("(" * 50, "unexpected"),
        ("sum(" * 50 + "m" + ")" * 50, "nested too deeply"),
    ],
)
def test_errors_say_what_and_where(query: str, says: str) -> None:
    with pytest.raises(PromqlError) as error:
        evaluate(parse(query), Source(store=STEADY, catalogue={}), np.array([600.0]))
    assert says in str(error.value)
