"""What a daily user of the plugin meets besides suggestions: peace, counts, the doctor, a root of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.editors.conftest import BLOCK, BLOCK_HEAD, HEAD, Start
from tests.editors.neovim import Neovim, wait_for
from tests.editors.test_neovim import REST, shown_within_a_second

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MESSAGES = "return vim.fn.execute('messages')"
STATUS = "return require('hef_lsp').status()"
TOLD = "require('hef_lsp.server').told(vim.json.decode([[{}]]), require('hef_lsp').client().id)"


def said(neovim: Neovim, part: str) -> None:
    wait_for(lambda: part in neovim.lua(MESSAGES), repr(part), lambda: str(neovim.lua(MESSAGES)))


def test_a_snooze_is_quiet_until_it_is_off_and_a_key_still_asks(neovim: Neovim) -> None:
    neovim.edit("snoozed.py", HEAD)
    neovim.keys(":HefSnooze 30<CR>")
    said(neovim, "suggestions are snoozed for 30 minutes")
    wait_for(lambda: neovim.lua(STATUS) == "hef: snoozed", "the status")
    neovim.keys("Gore")
    assert not shown_within_a_second(neovim)
    neovim.keys(r"<M-\>")
    neovim.wait_for_ghost(REST)
    neovim.keys("<Esc>:HefSnooze restart<CR>")
    said(neovim, "until the server is restarted")
    neovim.keys(":HefSnooze off<CR>")
    said(neovim, "suggestions are back")
    neovim.keys("ccre")
    neovim.wait_for_ghost(REST)


def test_what_is_no_time_is_told(neovim: Neovim) -> None:
    neovim.edit("long.py", HEAD)
    neovim.keys(":HefSnooze long<CR>")
    said(neovim, "long is none of restart, off, a number of minutes")


def test_a_subtle_suggestion_waits_for_its_key(neovim: Neovim) -> None:
    neovim.edit("subtle.py", HEAD)
    neovim.keys(":HefToggle subtle<CR>Gore")
    said(neovim, "suggestions wait until you ask for them")
    assert not shown_within_a_second(neovim)
    neovim.keys(r"<M-\>")
    neovim.wait_for_ghost(REST)
    neovim.keys("t")
    neovim.wait_for_ghost(REST[1:])
    neovim.keys("<Esc>:HefToggle subtle<CR>ccre")
    neovim.wait_for_ghost(REST)


def test_parts_that_are_taken_are_counted(start_neovim: Start) -> None:
    neovim = start_neovim()
    neovim.edit("rates.py", BLOCK_HEAD)
    neovim.keys(":HefRates<CR>")
    said(neovim, "0 shown, 0 accepted, 0 kept, 0 in parts, 0 unsure")
    neovim.keys("Go")
    neovim.wait_for_ghost(BLOCK.strip())
    neovim.keys("<C-Right>")
    neovim.wait_for_ghost(BLOCK.rstrip().removeprefix("    first"))
    neovim.keys("<C-Down>")
    neovim.wait_for_ghost("\n" + "\n".join(BLOCK.splitlines()[1:]))
    neovim.keys("<Esc>:HefRates<CR>")
    said(neovim, "1 shown, 0 accepted (0 %), 0 kept, 1 in parts, 0 unsure")


def test_the_doctor_looks_at_the_buffer_s_folder_with_its_settings(start_neovim: Start) -> None:
    neovim = start_neovim(
        settings={"model": {"device": "cpu"}, "index": {"ignore": ["a", "b"], "secrets": []}},
        init="vim.lsp.config('hef_lsp', { root_markers = { 'pyproject.toml', '.git' } })",
        prepare=monorepo,
    )
    neovim.edit("services/billing/main.py", HEAD)
    asked = (
        "local system = vim.system vim.system = function(cmd, ...) _G.asked = cmd return system(cmd, ...) end"
    )
    neovim.lua(asked)
    neovim.keys(":HefDoctor<CR>")
    wait_for(lambda: any("python:" in line for line in neovim.lines()), "it", lambda: str(neovim.lines()))
    options = neovim.lua("return _G.asked")
    at = options.index("--doctor")
    assert options[at + 1].endswith("services/billing")
    assert options[at + 2 :] == ["--set", "index.ignore=a,b", "--set", "model.device=cpu"]
    assert not any("Unknown setting" in line for line in neovim.lines())
    neovim.keys(":close<CR>")


def test_a_root_below_the_monorepo_s_top_is_indexed_alone(start_neovim: Start) -> None:
    neovim = start_neovim(
        init="require('hef_lsp').setup({ root_markers = { 'pyproject.toml', '.git' } })", prepare=monorepo
    )
    neovim.edit("services/billing/main.py", HEAD)
    root = "return require('hef_lsp').client().root_dir"
    assert neovim.lua(root).endswith("repository/services/billing")
    neovim.edit("top.py", HEAD)
    assert neovim.lua(root).endswith("repository")


@pytest.mark.parametrize(
    ("done", "total", "line"), [(0, 0, "hef: indexing"), (3, 8, "hef: indexing 3/8")], ids=["none", "some"]
)
def test_the_status_line_counts_nothing_that_is_not_known(
    neovim: Neovim, done: int, total: int, line: str
) -> None:
    neovim.edit("counted.py", HEAD)
    status = f'{{"state": "indexing", "folders": [{{"done": {done}, "total": {total}}}]}}'
    neovim.lua(TOLD.format(status))
    assert neovim.lua(STATUS) == line


def monorepo(repository: Path) -> None:
    service = repository / "services" / "billing"
    service.mkdir(parents=True)
    (service / "pyproject.toml").touch()
