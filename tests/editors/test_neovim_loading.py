"""Ways to load the plugin, as its help shows them, and what its commands and functions do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.editors.conftest import HEAD, scripted_server
from tests.editors.neovim import PLUGIN, ROOT, Neovim, version_of, wait_for
from tests.editors.test_neovim import REST, shown_within_a_second

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# What lazy.nvim does with `dir`, `main` and `opts`: the plugin's folder and its plugin/*.lua only after startup.
LAZY = """
vim.api.nvim_create_autocmd('VimEnter', {{ callback = function()
  vim.opt.runtimepath:append('{checkout}/editors/nvim')
  vim.cmd.source('{checkout}/editors/nvim/plugin/hef_lsp.lua')
  require('hef_lsp').setup({{ keymaps = true }})
end }})
"""
PACK = """
vim.pack.add({{ 'file://{checkout}' }}, {{
  confirm = false,
  load = function(plug)
    vim.opt.runtimepath:append(plug.path .. '/editors/nvim')
    vim.cmd.runtime('plugin/hef_lsp.lua')
  end,
}})
require('hef_lsp').setup({{ keymaps = true }})
"""
RUNTIME_PATH = """
vim.opt.runtimepath:append('{checkout}/editors/nvim')
require('hef_lsp').setup({{ keymaps = true }})
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the plugin where ours has it."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(PLUGIN, folder / "editors" / "nvim")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("way", [LAZY, PACK, RUNTIME_PATH], ids=["lazy", "pack", "runtimepath"])
def test_each_way_of_loading_suggests(neovim_program: str, tmp_path: Path, checkout: Path, way: str) -> None:
    if way is PACK and version_of(neovim_program) < "0.12":
        pytest.skip("vim.pack came with Neovim 0.12")
    (tmp_path / "folder" / ".git").mkdir(parents=True)
    config = json.dumps(json.dumps({"cmd": scripted_server(tmp_path, {})}))
    init = f"vim.lsp.config('hef_lsp', vim.json.decode({config}))\n" + way.format(checkout=checkout)
    environment = {"HEF_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    neovim = Neovim(neovim_program, tmp_path / "home", init, tmp_path / "folder", environment, plugin=None)
    try:
        neovim.edit("loaded.py", HEAD)
        neovim.keys("Gore")
        neovim.wait_for_ghost(REST)
        assert neovim.lua("return vim.fn.exists(':HefStatus')") == 2
    finally:
        neovim.quit()


@pytest.mark.parametrize("scope", ["buffer", "filetype"])
def test_suggestions_can_be_off_for_a_part(neovim: Neovim, scope: str) -> None:
    neovim.edit(f"off_{scope}.py", HEAD)
    neovim.keys(f":HefToggle {scope}<CR>Gore")
    assert not shown_within_a_second(neovim)
    assert neovim.lua("return require('hef_lsp').status()") == "hef: off"
    neovim.keys("<Esc>")
    neovim.edit(f"on_{scope}.py", HEAD)
    neovim.keys("Gore")
    if scope == "buffer":
        neovim.wait_for_ghost(REST)
    else:
        assert not shown_within_a_second(neovim)
    neovim.keys(f"<Esc>:buffer! off_{scope}.py<CR>:HefToggle {scope}<CR>A")
    neovim.wait_for_ghost(REST)


def test_the_doctor_and_the_log_open_in_windows(neovim: Neovim) -> None:
    neovim.edit("doctor.py", HEAD)
    neovim.keys(":HefDoctor<CR>")
    wait_for(
        lambda: any("python:" in line for line in neovim.lines()), "the report", lambda: str(neovim.lines())
    )
    neovim.screenshot("doctor")
    neovim.keys(":close<CR>:HefLog<CR>")
    wait_for(lambda: neovim.lua("return vim.fn.expand('%:t')") == "lsp.log", "the log")
    neovim.keys(":close<CR>")
