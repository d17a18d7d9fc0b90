"""By which import line a repository has a name, and how another file writes it."""

from __future__ import annotations

import pytest

from indexer import LineIndex
from indexer.imports import Import, imports_in


def index_of(files: dict[str, str]) -> LineIndex:
    index = LineIndex()
    index.update(files)
    return index


def line_for(files: dict[str, str], name: str, path: str = "pkg/new.py", *used: str) -> str | None:
    found = index_of(files).imports.import_of(name, path, used)
    return found.line if found else None


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("import a", [Import("a")]),
        ("import a.b as c, d  # e", [Import("a.b", "", "c"), Import("d")]),
        ("from a import b, c as d", [Import("a", "b"), Import("a", "c", "d")]),
        ("from . import (a, b,)", [Import(".", "a"), Import(".", "b")]),
        ("from ..a.b import(c)", [Import("..a.b", "c")]),
        ("from a import *", []),
        ("from here on, import duties are due", []),
        ("import tax is high", []),
        ("from a import", []),
        ("from a..b import c", []),
        ("importlib.reload(a)", []),
    ],
)
def test_a_statement_says_what_it_binds(statement: str, wanted: list[Import]) -> None:
    assert imports_in(statement) == wanted


@pytest.mark.parametrize(
    ("head", "name", "wanted"),
    [
        pytest.param("import json\n", "json", "import json", id="a module"),
        pytest.param("import numpy as np\n", "np", "import numpy as np", id="an alias"),
        pytest.param("import numpy as np\n", "numpy", None, id="what an alias hides"),
        pytest.param("from a import b as c\n", "c", "from a import b as c", id="a renamed name"),
        pytest.param("from a import b, c\n", "c", "from a import c", id="one of several"),
        pytest.param(
            "from a import (  # why\n    b,\n    # c is\n    c,\n)\n", "c", "from a import c", id="brackets"
        ),
        pytest.param("from a import b, \\\n    c\n", "c", "from a import c", id="a backslash"),
        pytest.param('"""\nfrom a import b\n"""\n', "b", None, id="in a docstring"),
        pytest.param("if TYPE_CHECKING:\n    from a import b\n", "b", None, id="behind a condition"),
        pytest.param("def f():\n    from a import b\n", "b", None, id="in a function"),
        pytest.param("from a import *\n", "b", None, id="a star"),
        pytest.param("from a import (\n    b,\n", "b", None, id="without an end"),
    ],
)
def test_a_name_is_imported_as_elsewhere(head: str, name: str, wanted: str | None) -> None:
    assert line_for({"pkg/a.py": head + "\nx = 1\n"}, name) == wanted


def test_the_nearest_folder_counts_then_how_often() -> None:
    files = {
        "pkg/deep/a.py": "from near import Path\n",
        "pkg/deep/b.py": "from pathlib import Path\n",
        "pkg/deep/c.py": "from pathlib import Path\n",
        "pkg/d.py": "from far import Path\n",
        "pkg/e.py": "from far import Path\n",
        "pkg/f.py": "from far import Path\n",
    }

    assert line_for(files, "Path", "pkg/deep/new.py") == "from pathlib import Path"
    assert line_for(files, "Path", "pkg/new.py") == "from far import Path"
    assert line_for(files, "Path", "pkg/d.py") == "from far import Path"  # its own line is gone by now
    assert line_for({**files, "top.py": "from top import Path\n"}, "Path", "new.py") == "from top import Path"
    assert line_for({"pkg/new.py": "from a import b\n"}, "b") is None


@pytest.mark.parametrize(
    ("line", "path", "wanted"),
    [
        pytest.param("from .base import A", "pkg/web/new.py", "from .base import A", id="beside"),
        pytest.param("from .base import A", "pkg/new.py", "from .web.base import A", id="from above"),
        pytest.param("from .base import A", "pkg/web/deep/new.py", "from ..base import A", id="from below"),
        pytest.param("from .base import A", "pkg/core/new.py", "from ..web.base import A", id="from aside"),
        pytest.param("from . import A", "pkg/core/new.py", "from ..web import A", id="of the folder"),
        pytest.param("from .. import A", "pkg/core/new.py", "from .. import A", id="of the one above"),
        pytest.param("from .. import A", "pkg/new.py", "from . import A", id="of this folder"),
        pytest.param("from .base import A", "tests/new.py", None, id="outside of the package"),
        pytest.param("from .base import A", "pkg/web/base.py", None, id="of itself"),
        pytest.param("from . import A", "pkg/web/__init__.py", None, id="of itself as a package"),
        pytest.param("from ....base import A", "pkg/web/new.py", None, id="from nowhere"),
        pytest.param(
            "from pkg.web.base import A", "tests/new.py", "from pkg.web.base import A", id="absolute"
        ),
        pytest.param("from pkg.web.base import A", "src/pkg/web/base.py", None, id="of itself, absolute"),
        pytest.param("import base", "pkg/web/base.py", "import base", id="only called so"),
    ],
)
def test_relative_imports_are_written_from_where_they_go(line: str, path: str, wanted: str | None) -> None:
    packages = {f"{folder}/__init__.py": "" for folder in ("pkg", "pkg/web", "pkg/core", "pkg/web/deep")}
    name = imports_in(line)[0].bound

    assert line_for({**packages, "pkg/web/old.py": f"{line}\n"}, name, path) == wanted


def test_a_dotted_module_serves_its_own_names_only() -> None:
    files = {"pkg/a.py": "import os\n", "pkg/b.py": "import os.path\n", "pkg/c.py": "import xml.dom\n"}

    assert line_for(files, "os", "pkg/new.py", "os.getcwd") == "import os"
    assert line_for(files, "os", "pkg/new.py", "os.path.join") == "import os.path"
    assert line_for(files, "xml", "pkg/new.py", "xml.domain") is None
    assert line_for(files, "xml", "pkg/new.py", "xml.dom.minidom") == "import xml.dom"


def test_files_that_change_or_go_count_as_they_are() -> None:
    index = index_of({"a.py": "from x import A\n", "b.md": "from y import A\n"})
    index.update({"a.py": "from z import A\n"})
    assert index.imports.import_of("A", "new.py") == Import("z", "A")

    index.update({"a.py": None})
    assert index.imports.import_of("A", "new.py") is None


def test_modules_of_the_repository_are_known() -> None:
    index = index_of({"src/app/a.py": "", "tests/help.py": "", "setup.py": "", "docs/readme.md": ""})

    assert index.imports.own_modules("tests/test_a.py") == {"src", "app", "tests", "help", "setup"}
