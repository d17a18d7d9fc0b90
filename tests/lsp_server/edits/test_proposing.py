"""An edit is offered where else it applies: by what stood there, and never where it stands already."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from lsp_server.edits.chances import chance_of
from lsp_server.edits.history import Edit
from lsp_server.edits.meanings import OpenText
from lsp_server.edits.proposing import propose
from tests.lsp_server.edits.documents import URI, all_applied, history_of, proposals

ARGUMENT = "x = fetch(a, 1)\ny = fetch(b)\nz = fetch(c.d, [1, 2])\nfetch()\n"
ASSERTS = (
    "def test(self):\n    self.assertEqual(a, 1)\n    self.assertEqual(f(b), c.d)\n"
    "    self.assertEqual(g, {1: 2})\n    self.assertEqual(h)\n"
)


@pytest.mark.parametrize(
    ("before", "typed", "after"),
    [
        pytest.param(
            ARGUMENT,
            ("fetch(a, 1)", "fetch(a, 1, timeout=3)"),
            "x = fetch(a, 1, timeout=3)\ny = fetch(b, timeout=3)\nz = fetch(c.d, [1, 2], timeout=3)\nfetch()\n",
            id="an argument behind others",
        ),
        pytest.param(
            "log.warn(a)\nif b:\n    log.warn(b, c)\nlog.info(a)\n",
            ("log.warn(a)", "log.warning(a)"),
            "log.warning(a)\nif b:\n    log.warning(b, c)\nlog.info(a)\n",
            id="a call renamed",
        ),
        pytest.param(
            ASSERTS,
            ("self.assertEqual(a, 1)", "assert a == 1"),
            "def test(self):\n    assert a == 1\n    assert f(b) == c.d\n    assert g == {1: 2}\n"
            "    self.assertEqual(h)\n",
            id="what is carried over varies",
        ),
        pytest.param(
            "a: Optional[int] = MISSING\nb: Optional[List[str]] = MISSING\n",
            ("Optional[int]", "Union[Optional[int], Default]"),
            "a: Union[Optional[int], Default] = MISSING\nb: Union[Optional[List[str]], Default] = MISSING\n",
            id="a wrap",
        ),
        pytest.param(
            "one = call(a, debug=True)\ntwo = call(b, debug=True)\n",
            (", debug=True)\ntwo", ")\ntwo"),
            "one = call(a)\ntwo = call(b)\n",
            id="an argument removed",
        ),
        pytest.param(
            "start(worker)\nstop(worker)\nif x:\n    start(worker)\n",
            ("start(worker)\nstop", "start(worker)\nwait(worker)\nstop"),
            "start(worker)\nwait(worker)\nstop(worker)\nif x:\n    start(worker)\n",
            id="a line between two that stand together nowhere else",
        ),
    ],
)
def test_an_edit_is_made_where_else_it_applies(before: str, typed: tuple[str, str], after: str) -> None:
    assert all_applied(before, before.replace(*typed, 1)) == after


def test_further_lines_are_indented_like_the_place() -> None:
    before = "connect(db)\nsend(db)\nif x:\n    connect(db)\n    send(db)\n"
    typed = "connect(db)\ncheck(db)\nsend(db)\nif x:\n    connect(db)\n    send(db)\n"

    assert all_applied(before, typed) == typed.replace("    send", "    check(db)\n    send")


REINDENTED = "if a:\n        start_it(a)\nif b:\n    if c:\n            start_it(c)\nstart_it(d)\n"
BLOCK = "if a:\n    go(a)\n    start_it()\nlast(a)\n"
DEEPER = "if b:\n    if c:\n        go(c)\n        start_it()\n    last(c)\n"


@pytest.mark.parametrize(
    ("before", "typed", "after"),
    [
        pytest.param(
            REINDENTED,
            ("        start_it", "            begin_it"),
            "if a:\n            begin_it(a)\nif b:\n    if c:\n                begin_it(c)\n    begin_it(d)\n",
            id="deeper",
        ),
        pytest.param(
            REINDENTED,
            ("        start_it", "    begin_it"),
            "if a:\n    begin_it(a)\nif b:\n    if c:\n        begin_it(c)\nstart_it(d)\n",
            id="less deep, not where nothing stands in front",
        ),
        pytest.param(
            REINDENTED.replace("(d)", "(a)").replace("(c)", "(a)"),
            ("        start_it(a)", "    start_it(b)"),
            "if a:\n    start_it(b)\nif b:\n    if c:\n        start_it(b)\nstart_it(a)\n",
            id="less deep, where only its end changed",
        ),
        pytest.param(
            "go(one)\nstop(one)\nif b:\n    go(one)\n    stop(one)\n",
            ("go(one)\nstop(one)\n", "if one:\n    go(one)\n    stop(one)\n"),
            "if one:\n    go(one)\n    stop(one)\nif b:\n    if one:\n        go(one)\n        stop(one)\n",
            id="all lines of a block that was put below a new one",
        ),
        pytest.param(
            BLOCK + DEEPER,
            ("    start_it()\n", "    start_it()\n    stop_it()\n"),
            (BLOCK + DEEPER)
            .replace("    start_it()\nl", "    start_it()\n    stop_it()\nl")
            .replace("        start_it()\n", "        start_it()\n        stop_it()\n"),
            id="a line at the end of a block",
        ),
        pytest.param(
            BLOCK + DEEPER.replace("    last(c)", "        last(c)"),
            ("    start_it()\n", "    start_it()\n    stop_it()\n"),
            BLOCK.replace("    start_it()\n", "    start_it()\n    stop_it()\n")
            + DEEPER.replace("    last(c)", "        last(c)"),
            id="a line at the end of a block, not in the middle of another",
        ),
        pytest.param(
            BLOCK + DEEPER,
            ("    start_it()\n", ""),
            (BLOCK + DEEPER).replace("        start_it()\n", "").replace("    start_it()\n", ""),
            id="the last line of a block removed",
        ),
        pytest.param(
            "go(a)\nlast(a)\nif b:\n    go(b)\n    last(b)\n",
            ("go(a)\n", "go(a)\n\nstop_it()\n"),
            "go(a)\n\nstop_it()\nlast(a)\nif b:\n    go(b)\n\n    stop_it()\n    last(b)\n",
            id="an empty line stays empty",
        ),
    ],
)
def test_lines_are_indented_by_what_is_around_them(before: str, typed: tuple[str, str], after: str) -> None:
    assert all_applied(before, before.replace(*typed, 1)) == after


def test_line_ends_are_the_documents() -> None:
    before = "connect(db)\r\nsend(db)\r\nif x:\r\n    connect(db)\r\n    send(db)\r\n"
    typed = before.replace("connect(db)\r\nsend", "connect(db)\r\ncheck(db)\r\nsend")

    assert all_applied(before, typed) == typed.replace("    send", "    check(db)\r\n    send")


def test_two_examples_agree_on_a_pattern() -> None:
    one = ASSERTS.replace("self.assertEqual(a, 1)", "assert a == 1")
    two = one.replace("self.assertEqual(f(b), c.d)", "assert f(b) == c.d")

    assert max(found.n_examples for found in proposals(ASSERTS, one)) == 1
    assert proposals(ASSERTS, one, two)[0].n_examples == 2


@pytest.mark.parametrize(
    "typed", [("self.assertEqual(a, 1)", "assert a == 1"), ("self.assertEqual(a", "self.assertEquals(a")]
)
def test_a_second_example_makes_it_surer(typed: tuple[str, str]) -> None:
    for proposal in proposals(ASSERTS, ASSERTS.replace(*typed)):
        learned = proposal.occasion.learned
        twice = replace(proposal.occasion, learned=replace(learned, n_examples=2))
        has_context = bool(learned.pattern.left or learned.pattern.right)

        assert chance_of(twice) > proposal.chance or (not has_context and chance_of(twice) == proposal.chance)


def test_the_nearest_place_comes_first() -> None:
    text = "".join(f"log.warn({name})\n" for name in "abcdefghi")
    typed = text.replace("log.warn(e)", "log.warning(e)")
    found = proposals(text, typed, near=typed.index("log.warning(e)"))
    lines = [typed.count("\n", 0, proposal.start) for proposal in found]

    assert len(lines) == 8
    assert [abs(line - 4) for line in lines] == sorted(abs(line - 4) for line in lines)


@pytest.mark.parametrize(
    "typed",
    [
        ("import typing", "from typing import TYPE_CHECKING"),
        ("    ... note::", "    .. note::"),
    ],
)
def test_what_was_just_written_is_not_written_over(typed: tuple[str, str]) -> None:
    before = f"import sys\n{typed[0]}\n\nx = 1\n"

    assert all_applied(before, before.replace(*typed)) == before.replace(*typed)


def test_what_was_refused_is_not_offered_again() -> None:
    typed = ARGUMENT.replace("fetch(a, 1)", "fetch(a, 1, timeout=3)")
    key = proposals(ARGUMENT, typed)[0].key

    assert proposals(ARGUMENT, typed, refused={key}) == []


def test_an_edit_that_was_undone_is_forgotten() -> None:
    typed = ARGUMENT.replace("fetch(a, 1)", "fetch(a, 1, timeout=3)")

    assert proposals(ARGUMENT, typed)
    assert proposals(ARGUMENT, typed, ARGUMENT) == []


def test_an_edit_that_was_left_and_undone_is_forgotten() -> None:
    one = ARGUMENT.replace("fetch(a, 1)", "fetch(a, 1, timeout=3)")
    elsewhere = one + "\nother = 1\n"
    history = history_of(ARGUMENT, one, elsewhere, ARGUMENT + "\nother = 1\n", ARGUMENT + "\nother = 12\n")

    assert all("timeout" not in edit.new for edit in history.edits())
    assert [edit.changed[1] for edit in history.take_withdrawn()] == ["x = fetch(a, 1, timeout=3)"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("x = 1\ny = 1\n", "x = 2\ny = 1\n", id="no name says where"),
        pytest.param("return a\nreturn b\n", "return (a\nreturn b\n", id="a keyword says nothing"),
        pytest.param("call(a)\ncall(b)\n", "call(a) \ncall(b)\n", id="white space"),
        pytest.param("call(a)\n", "call(a)\n" + "word " * 2_000, id="too much"),
        pytest.param(
            "if a:\n    start_it(a)\nif b:\n    start_it(a)\nif b:\n    pass\n",
            "if a:\n        start_it(a)\nif b:\n    start_it(a)\nif b:\n    pass\n",
            id="a line that only moved",
        ),
    ],
)
def test_an_edit_that_says_nothing_is_not_offered(before: str, after: str) -> None:
    assert proposals(before, after) == []


def test_other_documents_come_after_this_one() -> None:
    typed = ARGUMENT.replace("fetch(a, 1)", "fetch(a, 1, timeout=3)")
    other = OpenText("file:///b.py", "python", "q = fetch(r)\n")
    found = propose(history_of(ARGUMENT, typed).edits(), OpenText(URI, "python", typed), [other])

    assert [proposal.uri for proposal in found] == [URI, URI, other.uri]
    assert (found[2].start, found[2].text) == (len("q = fetch(r"), ", timeout=3")


@pytest.mark.parametrize("name", ["amount", "n"])
def test_a_variable_is_renamed_where_it_means_the_same(name: str) -> None:
    before = (
        "def f(value):\n    total = value\n    return [value for value in total], total, g(value=value)\n"
        "def h(value):\n    return value\n"
    )
    typed = before.replace("def f(value)", f"def f({name})")
    renamed = [proposal for proposal in proposals(before, typed) if proposal.renames]

    assert sorted(typed[: proposal.start].count("\n") for proposal in renamed) == [1, 2]
    assert {proposal.text for proposal in renamed} == {name}


def seconds(n_lines: int, line: str) -> float:
    """Processor time of this thread for one question about a document of so many lines."""
    text = line * n_lines
    typed = "x = fetch(a, timeout=3)\n" + text
    edits = [Edit(URI, "text", 0, "x = fetch(a)\n", "x = fetch(a, timeout=3)\n", 0, 0)]
    began = time.thread_time()
    propose(edits, OpenText(URI, "text", typed, 0))
    return time.thread_time() - began


@pytest.mark.parametrize(
    "line",
    ["fetch(" * 30 + "a\n", "fetch(a)\n", "fetch(" * 3, "fetch(a, " + "(" * 100 + "\n", "f" * 200 + "\n"],
)
def test_a_large_document_costs_no_more_than_linear_time(line: str) -> None:
    small = seconds(2_000, line)
    large = min(seconds(16_000, line) for _ in range(2))  # other work takes the caches away

    assert large < max(16 * small, 0.2)


def test_a_document_of_20000_lines_is_searched_in_a_bounded_number_of_places() -> None:
    text = "fetch(a)\n" * 20_000
    found = proposals(text, "fetch(a, b)\n" + text[len("fetch(a)\n") :], language="text")

    assert 0 < len(found) <= 40


OTHER_LANGUAGES = {
    "typescript": "const a = s.fetchAll(1);\n// c.fetchAll(3)\nconst b = s.fetchAll(2);\n",
    "go": "func f() {\n\ta := s.fetchAll(1)\n\t// c.fetchAll(3)\n\tb := s.fetchAll(2)\n}\n",
    "rust": "fn f() {\n    let a = s.fetchAll(1);\n    // c.fetchAll(3)\n    let b = s.fetchAll(2);\n}\n",
}


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_in_other_languages_code_is_likelier_than_a_comment(language: str) -> None:
    before = OTHER_LANGUAGES[language]
    found = proposals(before, before.replace("fetchAll(1)", "loadAll(1)"), language=language)
    by_place = {
        proposal.occasion.text[proposal.end :].partition(")")[0][-1]: proposal.chance for proposal in found
    }
    assert by_place["2"] > by_place["3"] + 0.2


def test_what_a_name_means_is_not_asked_where_nobody_knows() -> None:
    versions = ("const total = 1;\nshow(total);\n", "const sum = 1;\nshow(total);\n")
    found = proposals(*versions, language="typescript")
    assert [proposal.occasion.same_name for proposal in found] == [None] * len(found)
    assert found
