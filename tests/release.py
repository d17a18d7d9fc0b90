"""`make release`: builds what is published into dist/, and uses each part in a fresh environment before it is.

sdist and wheel complete a line in a small repository, the vsix and the Neovim archive are opened and looked at (Neovim
loads its own where `nvim` is installed).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
MAX_BYTES = 100 * 2**20  # of one file; the default limit of the Python package index
SAMPLE = {
    "shop/stock.py": "class Stock:\n    def __init__(self, price, count):\n        self.price = price\n"
    "        self.count = count\n\n    def total_value(self):\n        return self.price * self.count\n",
    "shop/report.py": "from shop.stock import Stock\n\n\nclass Report:\n    def __init__(self, price, count):\n"
    "        self.price = price\n        self",
}


def main() -> int:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    shutil.rmtree(DIST, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--outdir", str(DIST), cwd=ROOT)
    extension = ROOT / "editors" / "vscode"
    _run("npm", "ci", "--silent", cwd=extension)
    _run("npm", "run", "--silent", "package", cwd=extension)
    shutil.move(extension / f"hef-lsp-{version}.vsix", DIST)
    with tarfile.open(DIST / f"hef-lsp.nvim-{version}.tar.gz", "w:gz") as archive:
        for entry in sorted((ROOT / "editors" / "nvim").iterdir()):
            archive.add(entry, entry.name)

    for package in (DIST / f"hef_lsp-{version}-py3-none-any.whl", DIST / f"hef_lsp-{version}.tar.gz"):
        _check_package(package, version)
    _check_extension(DIST / f"hef-lsp-{version}.vsix", version)
    _check_plugin(DIST / f"hef-lsp.nvim-{version}.tar.gz")
    for file in sorted(DIST.iterdir()):
        print(f"{file.stat().st_size / 1e6:6.1f} MB  {file.relative_to(ROOT)}")
        assert file.stat().st_size < MAX_BYTES, f"{file.name} is larger than a package index takes"
    return 0


def _check_package(package: Path, version: str) -> None:
    """Installed alone, it knows its version, finds nothing missing and completes from another file of a repository."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "env", with_pip=True)
        programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
        _run(
            str(programs / "pip"),
            "install",
            "--quiet",
            "--disable-pip-version-check",
            str(package),
            cwd=folder,
        )
        for path, text in SAMPLE.items():
            (folder / "repository" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "repository" / path).write_text(text, "utf-8")
        environment = {"HEF_CACHE_DIR": str(folder / "cache")}
        hef_lsp, repository = str(programs / "hef-lsp"), folder / "repository"
        assert version in _run(hef_lsp, "--version", cwd=repository)
        _run(hef_lsp, "--reindex", ".", cwd=repository, **environment)
        _run(hef_lsp, "--doctor", cwd=repository, **environment)
        answer = json.loads(
            _run(hef_lsp, "--complete", "shop/report.py:7:13", "--json", cwd=repository, **environment)
        )
        assert answer["text"] == ".count = count", answer["text"]


def _check_extension(file: Path, version: str) -> None:
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("extension/package.json"))
        assert manifest["version"] == version
        assert {"extension/dist/extension.js", "extension/readme.md"} <= {
            name.lower() for name in archive.namelist()
        }


def _check_plugin(file: Path) -> None:
    """Its folders lie at the top, as plugin managers want them."""
    with tempfile.TemporaryDirectory() as name, tarfile.open(file) as archive:
        archive.extractall(name, filter="data")
        assert {"doc", "lsp", "lua", "plugin"} <= {entry.name for entry in Path(name).iterdir()}
        if shutil.which("nvim"):
            _run(
                "nvim",
                "--headless",
                "-u",
                "NONE",
                "--cmd",
                f"set rtp+={name}",
                "-c",
                "lua require('hef_lsp')",
                "-c",
                "q",
            )


def _run(*command: str, cwd: Path | None = None, **environment: str) -> str:
    """What the command printed. Raises CalledProcessError, its output shown, when it failed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
