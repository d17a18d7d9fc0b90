"""Which places mean the same name."""

from __future__ import annotations

import pytest

from indexer import Syntax


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("def f(NEW):\n    return old\ndef g():\n    return old\n", [1], id="a parameter"),
        pytest.param("NEW = 1\ndef f():\n    return old\ndef g(old):\n    return old\n", [2], id="hidden"),
        pytest.param("import NEW\nold.x\nx.old\nf(old=old)\n", [1, 3], id="neither attribute nor keyword"),
        pytest.param("def f():\n    NEW = 1\n    def g():\n        return old\n", [3], id="a closure"),
        pytest.param(
            "def f(old):\n    return [NEW for x in old], old\n", [0, 1, 1], id="used in a comprehension"
        ),
        pytest.param("old = 1\nx = [NEW for old in y]\n", [1], id="bound by a comprehension"),
        pytest.param(
            "class A:\n    old = 1\n    def f(self):\n        return old, self.old\nNEW()\n",
            [3],
            id="not a class's own",
        ),
        pytest.param(
            "class A:\n    def NEW(self):\n        self.old()\nclass B:\n    def f(self):\n        self.old()\n",
            [2],
            id="a method",
        ),
        pytest.param(
            "class A:\n    def f(self):\n        self.NEW = 1\n    def g(self):\n        return self.old, x.old\n",
            [4],
            id="an attribute",
        ),
        pytest.param(
            '"""old"""\nNEW = 1\n# old\nolder = bold\nprint(old, "old")\n', [4], id="no text, no comment"
        ),
        pytest.param("é = 'ü'\nNEW = 1\nold\n", [2], id="more bytes than characters"),
        pytest.param("def f(:\n  NEW ( = old\n", [1], id="broken code"),
    ],
)
def test_a_name_is_known_where_it_means_the_same(text: str, lines: list[int]) -> None:
    found = Syntax(text).same_name(text.index("NEW"), "old")

    assert [text.count("\n", 0, offset) for offset in found] == lines
    assert all(text.startswith("old", offset) for offset in found)


@pytest.mark.parametrize(
    ("text", "kind"), [("x = HERE\n", "code"), ("x = 'a HERE b'\n", "string"), ("# a HERE b\n", "comment")]
)
def test_a_place_is_code_or_text(text: str, kind: str) -> None:
    at = text.index("HERE")

    assert Syntax(text).kind_at(at, at + 4)[0] == kind


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "«x = Path(a.b, key=1)»\n", {"Path": {"Path"}, "a": {"a.b"}}, id="names, not members or keywords"
        ),
        pytest.param("import json\n«json.loads(print)»\n", {}, id="imported, and Python's own"),
        pytest.param(
            "from json import loads\n«json»\n", {"json": {"json"}}, id="only the module of another name"
        ),
        pytest.param("import a.b\n«a, b»\n", {"b": {"b"}}, id="the first of a dotted name"),
        pytest.param("import a.b as c\n«a, c»\n", {"a": {"a"}}, id="renamed"),
        pytest.param("«f(x)»\ndef f(): ...\nx = 1\n", {}, id="defined below"),
        pytest.param("def f(): import a\n«def g(): a»\n", {"a": {"a"}}, id="imported in another function"),
        pytest.param("class A:\n    x = 1\n    def f(self): «x, self»\n", {"x": {"x"}}, id="a class's own"),
        pytest.param("«[i for i in b], i»\n", {"b": {"b"}, "i": {"i"}}, id="a comprehension"),
        pytest.param("«for i, (j, *k) in c: i, j, k»\n", {"c": {"c"}}, id="loops"),
        pytest.param("«with a as (b, c), d as e: b, c, e»\n", {"a": {"a"}, "d": {"d"}}, id="with"),
        pytest.param("try: ...\n«except Broken as e: e»\n", {"Broken": {"Broken"}}, id="except"),
        pytest.param(
            "match x:\n  case [a, {'k': b, **c}, *d] | A(y, z=e) as f:\n    «a, b, c, d, e, f, y»\n",
            {},
            id="match",
        ),
        pytest.param(
            "«def f[T](a: T, *b: Q, **c) -> dict[str, W]: a, b, c»\n",
            {"Q": {"Q"}, "W": {"W"}},
            id="signature",
        ),
        pytest.param("type A[T] = int\n«A, T»\n", {}, id="type aliases"),
        pytest.param("def f():\n    global g\n«g»\n", {}, id="global"),
        pytest.param("«@app.route('/')\ndef f(): ...»\n", {"app": {"app.route"}}, id="a decorator"),
        pytest.param("«f'{a!r:>{b}} c'»  # d\n", {"a": {"a"}, "b": {"b"}}, id="a formatted string"),
        pytest.param("x = Pa«th(1)»\n", {"Path": {"Path"}}, id="a name that is completed"),
        pytest.param("x = a; «b»; y = c\n", {"b": {"b"}}, id="there only"),
        pytest.param("«os.path.join(os.sep)»\n", {"os": {"os.path.join", "os.sep"}}, id="what is used of it"),
        pytest.param("from x import *  # all\n«a»\n", {}, id="a star"),
        pytest.param("x = (a\n«b»\ndef a(:\n", {}, id="broken code"),
        pytest.param("«from a import b\nimport c.d»\n", {}, id="an import"),
        pytest.param("«é = Ü»\n", {"Ü": {"Ü"}}, id="wide characters"),
    ],
)
def test_names_that_nothing_binds_are_found(text: str, wanted: dict[str, set[str]]) -> None:
    start, end = text.index("«"), text.index("»") - 1
    plain = text.replace("«", "").replace("»", "")

    assert Syntax(plain).unbound(start, end) == wanted
