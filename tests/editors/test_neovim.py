"""The plugin in a real Neovim, against the real server: what a person sees and what ends up in the buffer."""

from __future__ import annotations

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER
from model.settings import EMBEDDED_LARGE
from tests.editors.conftest import (
    BLOCK,
    BLOCK_HEAD,
    CRLF_HEAD,
    DEFAULT_SERVER,
    EMBEDDED_SERVER,
    FOREIGN_FILE,
    FOREIGN_LINE,
    HEAD,
    LARGE,
    LINE,
    LOOKS,
    PATIENT,
    REAL_FILE,
    REAL_LINE,
    TAKEOVER_SECONDS,
    TARGETS,
    WIDE_HEAD,
    Start,
    foreign_repository,
    needs_large,
    real_repository,
)
from tests.editors.neovim import PLUGIN, Neovim, shown_within, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REST = LINE.strip()[2:]  # behind "re"
PLACES = (
    "return vim.tbl_map(function(it) return { vim.fn.bufname(it.bufnr), it.lnum } end, vim.fn.getqflist())"
)


def test_a_suggestion_is_shown_and_accepted_and_the_server_hears_of_it(neovim: Neovim) -> None:
    before = accepted(neovim)
    neovim.edit("line.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys("<Tab>")
    neovim.wait_for_lines((HEAD + LINE).splitlines())
    assert neovim.lua("return vim.api.nvim_win_get_cursor(0)") == [5, len(LINE) - 1]
    wait_for(lambda: accepted(neovim) == before + 1, "the accept command")


def test_a_block_is_accepted_with_its_lines(neovim: Neovim) -> None:
    neovim.edit("block.py", BLOCK_HEAD)
    neovim.keys("Go")
    neovim.wait_for_ghost(BLOCK.strip())
    neovim.screenshot("block")
    neovim.keys("<Tab>")
    neovim.wait_for_lines((BLOCK_HEAD + BLOCK).splitlines())
    assert neovim.lua("return vim.api.nvim_win_get_cursor(0)") == [8, len("    return second")]


def test_words_and_lines_are_taken_one_by_one_and_the_rest_stays(neovim: Neovim) -> None:
    before = accepted(neovim)
    lines = BLOCK.splitlines()
    head = BLOCK_HEAD.splitlines()
    neovim.edit("parts.py", BLOCK_HEAD)
    neovim.keys("Go")
    neovim.wait_for_ghost(BLOCK.strip())
    neovim.keys("<C-Right>")
    neovim.wait_for_lines([*head, "    first"])
    neovim.wait_for_ghost(BLOCK.rstrip().removeprefix("    first"))
    neovim.keys("<C-Down>")
    neovim.wait_for_lines([*head, lines[0]])
    neovim.wait_for_ghost("\n" + "\n".join(lines[1:]))
    neovim.keys("<C-Down>")
    neovim.wait_for_lines([*head, *lines[:2]])
    neovim.wait_for_ghost("\n" + lines[2])
    assert accepted(neovim) == before
    neovim.keys("<C-Down>")
    neovim.wait_for_lines([*head, *lines])
    wait_for(lambda: accepted(neovim) == before + 1, "the accept command")


@pytest.mark.parametrize(("typed", "line"), [("turn", LINE.rstrip()), ("quire", "    require ")])
def test_accepting_before_the_next_answer_never_misplaces_text(neovim: Neovim, typed: str, line: str) -> None:
    neovim.edit(f"{typed}.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys(f"{typed}<Tab>")  # no answer can be there yet: what agrees is accepted, else a tab is a tab
    neovim.wait_for_lines([*HEAD.splitlines(), line])


def test_closers_that_the_editor_put_in_are_not_doubled(neovim: Neovim) -> None:
    neovim.edit("closers.py", HEAD)
    neovim.keys("Goreturn area()<Left>")
    wait_for(neovim.ghost, "ghost text", lambda: str(neovim.state()))
    neovim.keys("<Tab>")
    neovim.wait_for_lines((HEAD + LINE).splitlines())


@pytest.mark.parametrize(
    ("name", "head", "typed", "target"),
    [("wide.py", WIDE_HEAD, "# 🦉 first<CR>", TARGETS[2]), ("dos.py", CRLF_HEAD, "", TARGETS[3])],
    ids=["wide", "crlf"],
)
def test_wide_characters_and_line_ends_keep_their_places(
    neovim: Neovim, name: str, head: str, typed: str, target: str
) -> None:
    neovim.edit(name, head)
    neovim.keys("Go" + typed)
    neovim.wait_for_ghost(BLOCK.strip())
    neovim.keys("<Tab>")
    neovim.wait_for_lines(target.splitlines())


def test_a_dismissed_suggestion_is_gone_and_tab_is_a_tab_again(neovim: Neovim) -> None:
    neovim.edit("dismissed.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys("<C-]>")
    wait_for(lambda: neovim.ghost() is None, "the ghost text to go")
    neovim.keys("<Tab>")
    neovim.wait_for_lines([*HEAD.splitlines(), "    re  "])


def test_toggle_turns_suggestions_off_and_on(neovim: Neovim) -> None:
    neovim.keys(":HefToggle<CR>")
    neovim.edit("toggled.py", HEAD)
    neovim.keys("Gore")
    assert not shown_within_a_second(neovim)
    assert neovim.lua("return require('hef_lsp').status()") == "hef: off"
    neovim.keys("<Esc>:HefToggle<CR>A")
    neovim.wait_for_ghost(REST)
    assert neovim.lua("return require('hef_lsp').status()") != "hef: off"


def test_the_context_of_the_last_suggestion_can_be_jumped_to(neovim: Neovim) -> None:
    neovim.edit("context.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys("<Esc>:HefContext<CR>")
    wait_for(lambda: neovim.lua(PLACES), "the quickfix list", lambda: str(neovim.state()))
    neovim.screenshot("context")
    assert any(name.endswith("shapes.py") and line == 1 for name, line in neovim.lua(PLACES))


@pytest.mark.parametrize("has_ended", [False, True])
def test_restart_starts_a_new_server_that_suggests(neovim: Neovim, has_ended: bool) -> None:
    client = (
        "local client = require('hef_lsp').client() return client and client.initialized and client.id or 0"
    )
    neovim.edit(f"restarted_{has_ended}.py", HEAD)
    before = neovim.lua(client)
    if has_ended:
        neovim.lua("require('hef_lsp').client():stop(true)")
        wait_for(lambda: neovim.lua(client) == 0, "the server's end")
    neovim.keys(":HefRestart<CR>")
    wait_for(lambda: neovim.lua(client) > before, "another client")
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)


def test_checkhealth_reports_editor_server_and_status(neovim: Neovim) -> None:
    neovim.keys(":checkhealth hef_lsp<CR>")
    wait_for(
        lambda: any(":HefDoctor" in line for line in neovim.lines()),
        "the report",
        lambda: str(neovim.lines()),
    )
    neovim.screenshot("health")
    report = "\n".join(neovim.lines())
    assert "ghost text is drawn by" in report
    assert "scripted" in report  # the model's name
    neovim.keys(":close<CR>")


def test_the_help_has_every_command_and_default_key(neovim: Neovim) -> None:
    page = (PLUGIN / "doc" / "hef-lsp.txt").read_text(encoding="utf-8")
    commands = neovim.lua("return vim.fn.getcompletion('Hef', 'command')")
    assert len(commands) >= 7
    assert [name for name in commands if f"*:{name}*" not in page] == []
    neovim.edit("keys.py", HEAD)
    maps = neovim.lua(
        "return vim.tbl_map(function(map) return map.desc or '' end, vim.api.nvim_buf_get_keymap(0, 'i'))"
    )
    names = [
        name.removeprefix("hef-lsp: ").replace(" ", "_") for name in maps if name.startswith("hef-lsp: ")
    ]
    assert len(names) == 5
    assert [name for name in names if f"\n    {name} " not in page] == []


def test_a_key_asks_where_automatic_suggestions_are_off(start_neovim: Start) -> None:
    neovim = start_neovim(settings={"completion": {"automatic": False}})
    neovim.edit("asked.py", HEAD)
    neovim.keys("Gore")
    assert not shown_within_a_second(neovim)
    neovim.keys(r"<M-\>")
    neovim.wait_for_ghost(REST)


def test_a_missing_model_is_told_with_what_to_do(start_neovim: Start) -> None:
    neovim = start_neovim(load_error="The folder is empty.", state="error")
    assert neovim.lua("return require('hef_lsp').status()") == "hef: error"
    wait_for(lambda: "The folder is empty." in neovim.lua("return vim.fn.execute('messages')"), "the message")


def test_nothing_is_logged_as_an_error_while_typing_against_a_slow_model(start_neovim: Start) -> None:
    neovim = start_neovim(token_seconds=0.03)
    neovim.edit("slow.py", HEAD)
    neovim.keys("Go")
    for character in "return area(":
        neovim.keys(character)
    neovim.wait_for_ghost(LINE.strip().removeprefix("return area("))
    assert neovim.logged_errors() == []
    assert neovim.lua("return vim.v.errmsg") == ""


@pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model")
def test_what_the_embedded_model_suggests_is_what_acceptance_puts_in(start_neovim: Start) -> None:
    neovim = start_neovim(command=EMBEDDED_SERVER, settings=PATIENT, prepare=real_repository, **LOOKS)
    take_what_is_suggested(neovim, REAL_FILE, REAL_LINE, "embedded")
    shown_within(neovim.ghost, 10.0)
    neovim.screenshot("embedded-next")
    neovim.keys("<Esc>:HefContext<CR>")
    wait_for(lambda: neovim.lua(PLACES), "the quickfix list", lambda: str(neovim.state()))
    neovim.screenshot("embedded-context")


@needs_large
def test_so_is_what_the_large_coder_suggests_in_a_repository_that_is_not_ours(start_neovim: Start) -> None:
    neovim = start_neovim(command=DEFAULT_SERVER, settings=LARGE, prepare=foreign_repository, **LOOKS)
    model = "local status = require('hef_lsp').details() return status and status.model or ''"
    wait_for(lambda: EMBEDDED_LARGE in neovim.lua(model), "it to take over", seconds=TAKEOVER_SECONDS)
    take_what_is_suggested(neovim, FOREIGN_FILE, FOREIGN_LINE, "large")


def take_what_is_suggested(neovim: Neovim, file: str, line: str, picture: str) -> None:
    """Begin the body of a method whose first line is `line`, at the end of a file."""
    before = neovim.read(file)
    neovim.edit(file, before)
    neovim.keys(f"Gzzo0<C-d>{line}<CR>")
    if not shown_within(neovim.ghost, 10.0):
        neovim.keys(r"<M-\>")  # a model that is not sure enough of itself is silent unless asked
    suggested = wait_for(neovim.ghost, "ghost text", lambda: str(neovim.state()))
    neovim.screenshot(picture)
    neovim.keys("<Tab>")
    neovim.wait_for_lines([*before.splitlines(), line, *f"        {suggested}".split("\n")])
    wait_for(lambda: accepted(neovim) == 1, "the accept command")


def accepted(neovim: Neovim) -> int:
    """How many acceptances the server has heard of."""
    counts: dict[str, int] = neovim.run("hef-lsp.status")["suggestions"]
    return counts["accepted"]


def shown_within_a_second(neovim: Neovim) -> bool:
    """Whether ghost text comes up; Neovim asks 200 ms after the last key, the scripted model answers at once."""
    return shown_within(neovim.ghost, 1.0)
