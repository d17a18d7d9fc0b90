"""Which version this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    try:
        return version("hef-lsp")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0+unknown"
