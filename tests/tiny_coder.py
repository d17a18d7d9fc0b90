"""The tiny embedded coder by its name: for tests of the real server and its commands that are not about the large one.

With the default the large coder is loaded as well, thirty times as large, and takes over when it is there.
"""

from __future__ import annotations

from model.settings import EMBEDDED_TINY

ASSIGNMENT = f"model.name={EMBEDDED_TINY}"
ARGUMENTS = ("--set", ASSIGNMENT)  # of the command line
OPTIONS = {"model": {"name": EMBEDDED_TINY}}  # of a client's `initialize`
