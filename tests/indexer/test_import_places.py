"""A new import stands where a careful author would have written it."""

from __future__ import annotations

import pytest

from indexer.import_places import with_import
from indexer.imports import imports_in

GROUPS = (
    "import os\nimport sys\n\nimport numpy as np\nimport requests\n\n"
    "from app.models import User\nfrom app.views import page\n\nx = 1\n"
)


def put(text: str, line: str) -> str | None:
    return with_import(text, imports_in(line)[0], {"app", "tests"})


@pytest.mark.parametrize(
    ("line", "above"),
    [
        pytest.param("import json", "", id="first of the standard library"),
        pytest.param("import re", "import os\n", id="amid the standard library"),
        pytest.param("from typing import Any", "import sys\n", id="from behind import"),
        pytest.param("import pandas as pd", "import numpy as np\n", id="amid the installed"),
        pytest.param("from rich import print", "import requests\n", id="last of the installed"),
        pytest.param("from app.errors import Missing", "import requests\n\n", id="first of its own"),
        pytest.param("from app.users import find", "from app.models import User\n", id="amid its own"),
        pytest.param("from tests.help import tidy", "from app.views import page\n", id="last of its own"),
    ],
)
def test_it_is_sorted_into_its_group(line: str, above: str) -> None:
    at = GROUPS.index(above) + len(above)

    assert put(GROUPS, line) == f"{GROUPS[:at]}{line}\n{GROUPS[at:]}"


@pytest.mark.parametrize(
    ("text", "line", "wanted"),
    [
        pytest.param("", "import os", "import os\n", id="empty"),
        pytest.param("x = 1\n", "import os", "import os\n\nx = 1\n", id="code only"),
        pytest.param("def f(): ...\n", "import os", "import os\n\n\ndef f(): ...\n", id="a definition only"),
        pytest.param('"""What."""\n', "import os", '"""What."""\n\nimport os\n', id="docstring only"),
        pytest.param(
            '"""What.\n\nMore."""\n\n\nclass A: ...\n',
            "import os",
            '"""What.\n\nMore."""\n\nimport os\n\n\nclass A: ...\n',
            id="docstring and a class",
        ),
        pytest.param(
            "'''What.'''\nx = 1\n", "import os", "'''What.'''\n\nimport os\n\nx = 1\n", id="close code"
        ),
        pytest.param(
            "#!/usr/bin/env python\n# Licensed.\n\nx = 1\n",
            "import os",
            "#!/usr/bin/env python\n# Licensed.\n\nimport os\n\nx = 1\n",
            id="a license",
        ),
        pytest.param(
            "#!/usr/bin/env python\n# One.\nx = 1\n",
            "import os",
            "#!/usr/bin/env python\n\nimport os\n\n# One.\nx = 1\n",
            id="a shebang and a comment of the code",
        ),
        pytest.param(
            '"""A."""\n\nfrom __future__ import annotations\n\nx = 1\n',
            "import os",
            '"""A."""\n\nfrom __future__ import annotations\n\nimport os\n\nx = 1\n',
            id="future only",
        ),
        pytest.param(
            "from __future__ import annotations\n\nimport sys\n",
            "import os",
            "from __future__ import annotations\n\nimport os\nimport sys\n",
            id="behind future",
        ),
        pytest.param(
            "from __future__ import annotations\nimport sys\n",
            "import os",
            "from __future__ import annotations\nimport os\nimport sys\n",
            id="future in the same block",
        ),
        pytest.param(
            "import os\n\nx = 1\n", "import attr", "import os\n\nimport attr\n\nx = 1\n", id="second group"
        ),
        pytest.param(
            "import attr\n\nx = 1\n", "import os", "import os\n\nimport attr\n\nx = 1\n", id="group before"
        ),
        pytest.param(
            "import os\n\nfrom app import a\n",
            "import attr",
            "import os\n\nimport attr\n\nfrom app import a\n",
            id="group between",
        ),
        pytest.param(
            "import os\n\nfrom . import a\n",
            "from app import b",
            "import os\n\nfrom app import b\n\nfrom . import a\n",
            id="relative last",
        ),
        pytest.param(
            "from ..core import a\nfrom .base import b\n",
            "from ..util import c",
            "from ..core import a\nfrom ..util import c\nfrom .base import b\n",
            id="relative from farther up first",
        ),
        pytest.param(
            "import attr\nimport os\nfrom app import a\n",
            "import re",
            "import attr\nimport os\nimport re\nfrom app import a\n",
            id="no groups",
        ),
        pytest.param(
            "import os\nfrom attr import a\nimport re\n",
            "import sys",
            "import os\nfrom attr import a\nimport re\nimport sys\n",
            id="by module",
        ),
        pytest.param(
            "import re\nimport sys\nimport os\n\nimport attr\n",
            "import json",
            "import re\nimport sys\nimport os\nimport json\n\nimport attr\n",
            id="no order",
        ),
        pytest.param(
            "# Standard.\nimport sys\n# Ours.\nfrom app import a\n",
            "import os",
            "# Standard.\nimport os\nimport sys\n# Ours.\nfrom app import a\n",
            id="headings",
        ),
        pytest.param(
            "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import attr\n",
            "from attr import a",
            "from typing import TYPE_CHECKING\n\nfrom attr import a\n\nif TYPE_CHECKING:\n    import attr\n",
            id="not behind a condition",
        ),
        pytest.param(
            "try:\n    import ujson as json\nexcept ImportError:\n    import json\n",
            "import os",
            "import os\n\ntry:\n    import ujson as json\nexcept ImportError:\n    import json\n",
            id="not into a try",
        ),
        pytest.param(
            "import sys\r\n\r\nx = 1\r\n", "import os", "import os\r\nimport sys\r\n\r\nx = 1\r\n", id="crlf"
        ),
        pytest.param(
            '"""É."""\nimport sys\n', "import os", '"""É."""\nimport os\nimport sys\n', id="wide characters"
        ),
        pytest.param(
            "import sys\nx = (\n", "import os", "import os\nimport sys\nx = (\n", id="broken further down"
        ),
    ],
)
def test_it_stands_behind_what_comes_first(text: str, line: str, wanted: str) -> None:
    assert put(text, line) == wanted


@pytest.mark.parametrize(
    ("text", "line", "wanted"),
    [
        pytest.param("from a import b, d\n", "from a import c", "from a import b, c, d\n", id="sorted"),
        pytest.param(
            "from a import B, c\n", "from a import A", "from a import A, B, c\n", id="classes first"
        ),
        pytest.param(
            "from a import b, C, d\n", "from a import Ca", "from a import b, C, Ca, d\n", id="whatever case"
        ),
        pytest.param("from a import d, b\n", "from a import c", "from a import d, b, c\n", id="no order"),
        pytest.param("from .a import b\n", "from .a import c", "from .a import b, c\n", id="relative"),
        pytest.param(
            "from a import (\n    b,\n)\n",
            "from a import c",
            "from a import (\n    b,\n)\nfrom a import c\n",
            id="in several lines",
        ),
        pytest.param(
            "from a import b  # noqa\n",
            "from a import c",
            "from a import b  # noqa\nfrom a import c\n",
            id="with a comment",
        ),
        pytest.param(
            "from a import b as x\n",
            "from a import c",
            "from a import b as x\nfrom a import c\n",
            id="renamed",
        ),
        pytest.param(
            "from a import b\n",
            "from a import c as d",
            "from a import b\nfrom a import c as d\n",
            id="to be renamed",
        ),
        pytest.param(
            f"from a import {'b' * 68}\n",
            "from a import cccc",
            f"from a import {'b' * 68}, cccc\n",
            id="just fits",
        ),
        pytest.param(
            f"from a import {'b' * 68}\n",
            "from a import ccccc",
            f"from a import {'b' * 68}\nfrom a import ccccc\n",
            id="too long",
        ),
        pytest.param(
            "if x:\n    from a import b\n",
            "from a import c",
            "from a import c\n\nif x:\n    from a import b\n",
            id="behind a condition",
        ),
    ],
)
def test_what_stands_in_one_line_is_extended(text: str, line: str, wanted: str) -> None:
    assert put(text, line) == wanted


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import sys\nfrom a import (\n\nx = 1\n", id="an import that is being written"),
        pytest.param("x = (\nimport sys\n", id="an error above an import"),
        pytest.param("x = = 1\n", id="the first line"),
        pytest.param("import sys\rx = 1\r", id="old line ends"),
        pytest.param("import sys\r\nx = 1\n", id="two kinds of line ends"),
    ],
)
def test_nothing_where_the_head_is_unclear(text: str) -> None:
    assert put(text, "import os") is None
