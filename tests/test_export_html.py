"""The postmortem as one HTML file: nothing in it runs, loads or leads away, and it looks right where it is read."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from bot.domain.lanes import MAX_MARKS, lanes
from bot.domain.postmortem import anchors
from bot.domain.signals import signal
from bot.domain.view import IncidentView
from bot.edges import drawing_lanes, drawing_signal
from bot.edges.drawing import WIDTH, Box, Dot, Drawing, TimeScale, Words
from bot.edges.export import Export
from diagnostics.model import Verdict
from tests import postmortem_samples, view_samples
from tests.test_export import PAYLOADS, SAMPLE_VIEWS
from tests.view_samples import at

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
TAGS = frozenset({
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "h3", "p", "span", "strong", "q",
    "code", "a", "ul", "li", "nav", "section", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure",
    "figcaption", "pre", "svg", "desc", "rect", "circle", "path", "text", "details", "summary",
})  # fmt: skip
VOID = frozenset({"meta"})


class Seen(HTMLParser):
    """Every tag with its attributes; complains of one that is not closed where it must be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


def page(view: IncidentView) -> str:
    return Export().export(view, "html").decode()


def safe(seen: Seen) -> None:
    assert {tag for tag, _ in seen.tags} <= TAGS
    names = {name for _, attributes in seen.tags for name in attributes}
    assert not {
        name for name in names if name.startswith("on") or name in ("src", "srcset", "style", "action", "xlink:href")
    }
    assert all(re.fullmatch(r"#[a-z0-9]+", href) for href in seen.all("href"))
    assert Counter(tag for tag, _ in seen.tags)["style"] == 1


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_nothing_runs_nothing_is_loaded_and_every_link_leads_to_a_place_in_the_file(name: str) -> None:
    seen = Seen(page(SAMPLE_VIEWS[name]()))
    safe(seen)
    ids = seen.all("id")
    assert max(Counter(ids).values()) == 1
    assert {href[1:] for href in seen.all("href")} <= set(ids)
    labels = {word for value in seen.all("aria-labelledby") for word in value.split()}
    assert labels <= set(ids)


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_everything_that_can_be_cited_has_its_place(name: str) -> None:
    view = SAMPLE_VIEWS[name]()
    assert set(anchors(view).values()) <= set(Seen(page(view)).all("id"))


def test_the_policy_forbids_everything_but_its_own_looks() -> None:
    metas = [attributes for tag, attributes in Seen(page(view_samples.verified())).tags if tag == "meta"]
    assert {"http-equiv": "Content-Security-Policy", "content": CSP} in metas
    assert {meta.get("http-equiv", "").lower() for meta in metas} <= {"", "content-security-policy"}
    style = page(view_samples.verified()).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("payload", PAYLOADS)
def test_foreign_text_in_html_is_only_ever_text(payload: str) -> None:
    hostile, harmless = (Seen(page(postmortem_samples.poisoned(text))) for text in (payload, "harmless"))
    safe(hostile)
    assert Counter(tag for tag, _ in hostile.tags)["h2"] == Counter(tag for tag, _ in harmless.tags)["h2"]
    assert hostile.all("id") == harmless.all("id")
    assert not set("".join(hostile.text)) & {chr(c) for c in [*range(9), *range(11, 32), 0x200B, 0x202E]}


def test_a_change_cannot_take_the_place_of_something_of_ours() -> None:
    view = postmortem_samples.complete()
    (change,) = view.changes
    for taken in ("#41", "ev-00000001", "pr-51c0de", "inc-7f3a2c", "change-1", "", "a b", "x" * 99):
        shown = Seen(page(replace(view, changes=(replace(change, id=taken),))))
        assert max(Counter(shown.all("id")).values()) == 1, taken
        assert "c1" in shown.all("id")


# --- Pictures -------------------------------------------------------------------------------------------------------


def svgs(view: IncidentView) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page(view), re.DOTALL)


def test_the_pictures_can_be_read_aloud() -> None:
    first, *signals = svgs(postmortem_samples.complete())
    assert 'role="img"' in first
    said = re.findall(r"<desc[^>]*>(.*?)</desc>", first)[0]
    assert said.startswith("page: Began, as the first page says at 11:50:00, page at 12:00:00, page joined")
    assert "probes: 3 not normal, 5 normal, 1 without an answer" in said
    assert "Shift traffic at 12:04:12" in said
    assert len(signals) == 2
    assert "0.5 %" in re.findall(r"<desc[^>]*>(.*?)</desc>", signals[0])[0]


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_everything_drawn_is_inside_its_picture(name: str) -> None:
    view = SAMPLE_VIEWS[name]()
    for each in re.findall(r"<svg.*?</svg>", page(view), re.DOTALL):
        width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', each)[0])
        xs = [float(x) for x in re.findall(r' (?:x|cx)="(-?[\d.]+)"', each)]
        ys = [float(y) for y in re.findall(r' (?:y|cy)="(-?[\d.]+)"', each)]
        assert min(xs) >= 0
        assert max(xs) <= width
        assert min(ys) >= 0
        assert max(ys) <= height
        assert "nan" not in each
        assert "inf" not in re.sub(r">[^<]*<", "><", each).replace("inc-", "")


def test_a_lane_has_marks_that_can_be_told_apart_and_says_how_many_it_leaves_out() -> None:
    facts = [postmortem_samples.page("page_joined", number) for number in range(300)]
    view = replace(postmortem_samples.complete(), timeline=postmortem_samples.chained(facts))
    (lane,) = (lane for lane in lanes(view).lanes if lane.name == "page")
    assert len(lane.marks) == MAX_MARKS
    assert len(lane.marks) + lane.hidden >= 300
    assert (lane.marks[-1].at - lane.marks[0].at) > timedelta(minutes=290)
    assert f"and {lane.hidden} more" in svgs(view)[0]


def overlaps(drawing: Drawing) -> list[tuple[str, str]]:
    words = [s for s in drawing.shapes if isinstance(s, Words) and "label" in s.look]
    boxes = []
    for each in words:
        wide = 0.5 * 11 * len(each.text)
        start = each.x - wide if each.anchor == "end" else each.x
        boxes.append((start, start + wide, each.y, each.text))
    return [(a[3], b[3]) for n, a in enumerate(boxes) for b in boxes[n + 1 :]
            if a[0] < b[1] and b[0] < a[1] and abs(a[2] - b[2]) < 9]  # fmt: skip


@pytest.mark.parametrize("name", SAMPLE_VIEWS)
def test_no_label_lies_on_another(name: str) -> None:
    assert overlaps(drawing_lanes.draw(lanes(SAMPLE_VIEWS[name]()))) == []


def test_time_goes_from_left_to_right_and_long_waiting_is_shortened_and_marked() -> None:
    seconds = [0, 1, 2, 5, 9, 30, 31, 33, 40, 45, 50, 14_400]
    scale = TimeScale([at(0) + timedelta(seconds=s) for s in seconds])
    places = [scale(at(0) + timedelta(seconds=s)) for s in (*seconds[:-1], 7_200, 14_400)]
    assert places == sorted(places)
    assert places[-1] <= WIDTH
    *_, (start, end, length) = scale.breaks()
    assert length == timedelta(seconds=14_350)
    assert all(length > timedelta(seconds=20) for _, _, length in scale.breaks())
    assert (end - start) / WIDTH < 0.3
    assert scale(at(0) + timedelta(seconds=9)) - scale(at(0)) > 40  # Seconds can still be told apart.


def test_milliseconds_are_not_spread_over_the_picture() -> None:
    moments = [at(-10), *(at(0) + timedelta(milliseconds=number) for number in (0, 3, 11, 70, 71)), at(0.25)]
    scale = TimeScale(moments)
    assert scale(moments[5]) - scale(moments[1]) < 10
    assert [length for _, _, length in scale.breaks()] == [timedelta(minutes=10)]
    labels = [f"{moment:%H:%M:%S}" for _, moment in scale.ticks()]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("moments", [[], [0.0], [0.0, 0.0], [0.0, 1e-9], [0.0, 5e5]])
def test_time_of_any_length_has_a_scale(moments: list[float]) -> None:
    scale = TimeScale([at(minutes) for minutes in moments])
    assert all(0 <= scale(at(minutes)) <= WIDTH for minutes in moments)
    list(scale.ticks())


def test_normal_and_not_normal_differ_by_more_than_colour() -> None:
    view = postmortem_samples.complete()
    drawn = drawing_lanes.draw(lanes(view))
    heights = {
        tone: {s.height for s in drawn.shapes if isinstance(s, Box) and tone in s.look.split()}
        for tone in ("good", "bad")
    }
    assert not heights["good"] & heights["bad"]

    found = signal(view, "user_signal")
    assert found is not None
    shapes = drawing_signal.draw(found).shapes
    assert any(isinstance(shape, Box) and "bad" in shape.look for shape in shapes)
    assert any(isinstance(shape, Dot) and "good" in shape.look for shape in shapes)


# --- In a browser ---------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("width", [360, 1200])
async def test_opened_from_disk_it_is_quiet_and_fits_its_window(chromium: Browser, tmp_path: Path, width: int) -> None:
    file = tmp_path / "postmortem.html"
    file.write_text(
        page(
            postmortem_samples.poisoned("</q><script>alert(1)</script><img src=http://127.0.0.1:1/x onerror=alert(2)>")
        )
    )
    tab = await chromium.new_page(viewport={"width": width, "height": 900})
    noise: list[Any] = []
    tab.on("console", lambda message: noise.append(message.text))
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.on("dialog", lambda dialog: noise.append(dialog.message))
    tab.on("request", lambda request: noise.append(request.url) if not request.url.startswith("file:") else None)
    await tab.goto(file.as_uri())
    await asyncio.sleep(0)
    assert noise == []
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await tab.evaluate("document.scripts.length + document.images.length") == 0
    await tab.close()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_a_click_on_evidence_leads_to_what_was_received(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "postmortem.html"
    view = postmortem_samples.complete()
    file.write_text(page(view))
    tab = await chromium.new_page()
    await tab.goto(file.as_uri())
    await tab.locator("#summary a", has_text="ev-00000001").first.click()
    target = tab.locator(":target")
    assert "ev-00000001" in await target.inner_text()
    assert await target.evaluate("e => e.getBoundingClientRect().top < innerHeight")
    await tab.close()
    assert any(finding.verdict is Verdict.ABNORMAL for finding in view.findings)


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_on_paper_nothing_is_cut_off(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "postmortem.html"
    file.write_text(page(postmortem_samples.complete()))
    tab = await chromium.new_page(viewport={"width": 700, "height": 1000})
    await tab.goto(file.as_uri())
    await tab.emulate_media(media="print")
    assert await tab.evaluate(
        "[...document.querySelectorAll('svg, pre')].every(e => e.scrollWidth <= e.clientWidth + 1)"
    )
    assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert len(await tab.pdf(format="A4")) > 10_000
    await tab.close()
