"""Archives as registries have them, made up."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.model.training.conftest import MIT


def go_text(name: str, n: int = 12) -> str:
    """A Go file of small functions; no two names share their text."""
    functions = [
        f"// {name}{i} returns the {name} of number {i}.\n"
        f"func {name}{i}(value int, other string) (int, error) {{\n"
        f"\ttotal := {name}Total(value, {i}, other)\n"
        f"\tfor step := range {name}Steps({i}) {{\n"
        f"\t\ttotal += {name}Step(step, {i + 1})\n"
        "\t}\n"
        f'\treturn total, {name}Error("{name}", {i})\n'
        "}\n"
        for i in range(n)
    ]
    return f'package {name}\n\nimport "fmt"\n\n' + "\n".join(functions)


def write_archive(
    file: Path, files: Mapping[str, str], language: str = "go", **changes: Any
) -> dict[str, Any]:
    """A `.tar.gz` with these files, MIT if they say nothing else; its entry in the stage's configuration."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as tar:
        for path, text in {"LICENSE": MIT, "README.md": "read", **files}.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return {
        "name": file.name.partition("-")[0],
        "repository": f"ann/{file.name.partition('-')[0]}",
        "version": "1.0",
        "registry": "npm",
        "language": language,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "license": "MIT",
        **changes,
    }
