"""A company's own templates: what they can do, what they cannot, and that a broken one never loses the export."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from bot.domain.presentation import Presentation
from bot.edges.export import Export
from bot.edges.templates import CSP, TemplateProblem, Templates
from tests import postmortem_samples
from tests.conftest import ROOT
from tests.test_export import PAYLOADS

SHIPPED = ROOT / "config/example/templates"
MINE = Presentation(template="mine")


def exporter(folder: Path, **files: str) -> Export:
    for name, text in files.items():
        (folder / f"{name.replace('__', '.')}.j2").write_text(text, "utf-8")
    return Export(templates=Templates(folder))


def test_the_shipped_template_gives_a_review_in_its_own_order() -> None:
    made = Export(templates=Templates(SHIPPED)).make(
        postmortem_samples.complete(), "md", Presentation(template="review")
    )
    told = made.content.decode()
    assert made.notes == ()
    assert told.startswith("# Review: LLM error rate above 5 percent for 10 minutes")
    order = ["## What happened", "## Impact", "## Why it happened", "### What it was not", "## Actions", "## Timeline"]
    places = [told.index(head) for head in order]
    assert places == sorted(places)
    assert "| Time to acknowledge (MTTA) | 3 min 30 s |" in told
    assert all(not known.problem for known in Templates(SHIPPED).known())


def test_a_template_may_loop_include_and_ask_and_gets_plain_values(tmp_path: Path) -> None:
    made = exporter(
        tmp_path, _row__md="* {{ one.what }}\n",
        mine__md="{% for one in timeline if one.known == 'human' %}{% include '_row.md.j2' %}{% endfor %}"
                 "{{ measures|length * 2 }}\n",
    ).export(postmortem_samples.complete(), "md", MINE).decode()  # fmt: skip
    assert "* Resolved by Ana Ruiz." in made
    assert made.rstrip().endswith("10")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_foreign_text_stays_text_in_a_template_of_either_form(payload: str, tmp_path: Path) -> None:
    view = postmortem_samples.poisoned(payload)
    made = exporter(tmp_path, mine__md="Title: {{ incident.title }}\n\n{{ incident.title }}\n",
                    mine__html="<p>{{ incident.title }}</p>")  # fmt: skip
    parsed = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(
        made.export(view, "md", MINE).decode())  # fmt: skip
    inside = [child.type for token in parsed for child in token.children or ()]
    assert {token.type for token in parsed} <= {"paragraph_open", "inline", "paragraph_close"}
    assert set(inside) <= {"text", "text_special"}
    page = made.export(view, "html", MINE).decode().split("<p>", 1)[1]
    assert "<" not in page.rsplit("</p>", 1)[0]


def test_what_is_ready_made_loses_that_when_a_template_adds_foreign_text_to_it(tmp_path: Path) -> None:
    view = postmortem_samples.poisoned("[x](http://evil.example)")
    made = exporter(tmp_path, mine__md="{{ sections.summary.content ~ incident.title }}").export(view, "md", MINE)
    assert "[x](http" not in made.decode()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("one\n\n{{ nothing.at_all }}", 3, "'nothing' is undefined"),
        ("one\n{% for %}", 2, "Expected an expression"),
        ("{{ ''.__class__.__mro__ }}", 1, "unsafe"),
        ("\n{{ incident.update }}", 2, "update"),
        ("{{ 'a' * 10**8 }}", 1, "two numbers"),
        ("{{ [1] * 100000000 }}", 1, "two numbers"),
        ("{{ range(10) }}", 1, "'range' is undefined"),
        ("{{ title|attr('x') }}", 1, "No filter named 'attr'"),
        ("{{ title|safe }}", 1, "No filter named 'safe'"),
        ("\n\n{% include '../../etc/passwd' %}", 0, "there is no ../../etc/passwd"),
        ("{% include incident.id %}", 1, "must be a file name in quotes"),
        ("{% from 'x' import y %}", 1, "import is not available"),
        ("{% macro x() %}{% endmacro %}", 1, "Markdown"),
        ("{% autoescape false %}{% endautoescape %}", 1, "autoescape cannot be switched"),
        ("{{ title.join }}", 1, "unsafe"),
    ],
)
def test_a_broken_template_says_which_line_and_what_and_the_built_in_form_is_used(
    text: str, line: int, what: str, tmp_path: Path
) -> None:
    made = exporter(tmp_path, mine__md=text).make(postmortem_samples.complete(), "md", MINE)
    (note,) = made.notes
    assert what in note
    assert f"mine.md.j2:{line}:" in note or not line
    assert "docs/postmortem-templates.md" in note
    assert "The built-in form was used instead" in note
    told = made.content.decode()
    assert told.startswith("# Postmortem of inc-7f3a2c")
    assert "**Note:**" in told


def test_a_template_without_end_is_ended(tmp_path: Path) -> None:
    loop = "{% for a in timeline %}" * 6 + "x" + "{% endfor %}" * 6
    made = exporter(tmp_path, mine__md=loop).make(postmortem_samples.complete(), "md", MINE)
    assert "characters" in made.notes[0] or "time or memory" in made.notes[0]
    silent = "{% for a in timeline %}" * 6 + "{% endfor %}" * 6
    made = exporter(tmp_path, mine__md=silent).make(postmortem_samples.complete(), "md", MINE)
    assert "time or memory" in made.notes[0] or "did not end" in made.notes[0]
    assert made.content.startswith(b"# Postmortem")


def test_the_folder_is_all_that_a_template_can_reach(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md.j2"
    outside.write_text("secret")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "linked.md.j2").symlink_to(outside)
    made = exporter(folder, mine__md="{% include 'linked.md.j2' %}").make(postmortem_samples.complete(), "md", MINE)
    assert "there is no linked.md.j2" in made.notes[0]
    for name in ("../outside", "a/b", "", "x" * 99, "mine.md"):
        with pytest.raises(TemplateProblem):
            Templates(folder).render(name, "md", {})


def test_a_page_of_a_template_carries_our_policy(tmp_path: Path) -> None:
    made = exporter(tmp_path, mine__html='<html><head lang="en"><title>x</title></head><script>1</script></html>')
    page = made.export(postmortem_samples.complete(), "html", MINE).decode()
    assert page.startswith(f'<html><head lang="en">{CSP}')
    bare = exporter(tmp_path, mine__html="<p>x</p>").export(postmortem_samples.complete(), "html", MINE).decode()
    assert bare.index(CSP) < bare.index("<p>")


def test_an_html_template_has_pictures_and_looks_to_use(tmp_path: Path) -> None:
    made = exporter(tmp_path, mine__html="<style>{{ style }}</style>{{ sections.times.content }}")
    page = made.export(postmortem_samples.complete(), "html", MINE).decode()
    assert "svg .fill.bad" in page
    assert "<svg viewBox" in page


def test_known_templates_are_listed_with_what_is_wrong(tmp_path: Path) -> None:
    exporter(tmp_path, good__html="{{ title }}", bad__md="{% if %}", _part__md="x")
    found = {(one.name, one.form): one.problem for one in Templates(tmp_path).known()}
    assert found[("good", "html")] == ""
    assert "bad.md.j2:1" in found[("bad", "md")]
    assert len(found) == 2
    assert Templates(None).known() == []
    with pytest.raises(TemplateProblem, match="does not exist"):
        Templates(tmp_path / "missing").known()


def test_other_forms_have_no_templates_and_say_so(tmp_path: Path) -> None:
    made = exporter(tmp_path, mine__md="x").make(postmortem_samples.complete(), "pdf", MINE)
    assert "not for pdf" in made.notes[0]
    assert made.content.startswith(b"%PDF")
