"""Imports followed to what they mean."""

from __future__ import annotations

import pytest

from model.evaluation.definitions import ModuleGraph
from model.evaluation.scope import imported_definitions

TEXTS = {
    "src/shop/__init__.py": "from .cart import Cart as Basket\nfrom shop.price import *\n",
    "src/shop/cart.py": (
        "from shop.base import Box\n\n\nclass Cart(Box):\n    '''What is bought.'''\n\n    limit: int = 3\n\n"
        "    def add(self, item):\n        self.items.append(item)\n\n    def total(self):\n        return 0\n"
    ),
    "src/shop/base.py": "class Box:\n    def lift(self, n):\n        return n * 2\n\n\nSIZE = 4\n",
    "src/shop/price.py": "def price(item, currency):\n    return item.price\n",
    "src/other/price.py": "def price(pound):\n    return pound\n",
    "src/shop/broken.py": "def (:\n",
    "src/shop/ways/__init__.py": "",
    "src/shop/ways/json.py": "def dumps(way):\n    return way.text\n",
}
HERE = "src/shop/till.py"


def _found(before: str, after: str = "", limit: int = 10) -> list[str]:
    graph = ModuleGraph(TEXTS)
    return [f"{one.path}:{one.name}" for one in imported_definitions(graph, HERE, before, after, limit)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("from shop.price import price\nx = price(", ["src/shop/price.py:price"]),
        ("from .price import price\nx = price(", ["src/shop/price.py:price"]),
        ("from . import price\nx = price.price(", ["src/shop/price.py:price"]),
        ("import shop.price\nx = shop.price.price(", ["src/shop/price.py:price"]),
        ("import shop.price as p\nx = p.price(", ["src/shop/price.py:price"]),
        ("from shop import (\n    Basket,\n)\nBasket.", ["src/shop/cart.py:Cart"]),  # renamed on the way
        ("from other.price import price\nprice(", ["src/other/price.py:price"]),
        ("from shop import Basket\nb = Basket()\nb.add(", ["src/shop/cart.py:add", "src/shop/cart.py:Cart"]),
        (
            "from shop import Basket\ndef f(b: Basket):\n    b.lift(",
            ["src/shop/base.py:lift", "src/shop/cart.py:Cart"],
        ),
        ("from shop.cart import Cart\nwith Cart() as c:\n    c.", ["src/shop/cart.py:Cart"]),
        (
            "from shop.base import Box\nclass A(Box):\n    def f(self):\n        self.lift(",
            ["src/shop/base.py:lift"],
        ),
        ("from shop.base import SIZE\nx = SIZE", ["src/shop/base.py:SIZE"]),
        ("from numpy import array\narray(", []),
        ("x = price(", []),  # not imported
        ("import json\njson.dumps(", []),  # the standard library's: a package is no root of imports
        ("from shop.ways import json\njson.dumps(", ["src/shop/ways/json.py:dumps"]),
        ("from shop.broken import anything\nanything(", []),
    ],
)
def test_names_near_the_cursor_lead_to_definitions(before: str, expected: list[str]) -> None:
    found = _found(before)
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


def test_the_nearest_name_comes_first_and_the_limit_holds() -> None:
    before = "from shop.price import price\nfrom shop.base import SIZE\nprice\n" + "\n" * 5 + "SIZE\n"
    assert _found(before) == ["src/shop/base.py:SIZE", "src/shop/price.py:price"]
    assert _found(before, limit=1) == ["src/shop/base.py:SIZE"]


def test_the_file_itself_is_never_shown() -> None:
    graph = ModuleGraph({**TEXTS, HERE: "def secret():\n    return 1\n"})
    assert imported_definitions(graph, HERE, "from shop.till import secret\nsecret(", "", 5) == []


def test_a_class_is_shown_as_an_outline_and_a_function_whole() -> None:
    graph = ModuleGraph(TEXTS)
    found = imported_definitions(graph, HERE, "from shop import Basket\nBasket.add", "", 5)
    assert found[0].text == "    def add(self, item):\n        self.items.append(item)"
    assert (
        found[1].text
        == "class Cart(Box):\n    limit: int = 3\n    def add(self, item):\n    def total(self):"
    )


def test_modules_that_import_each_other_end() -> None:
    graph = ModuleGraph({"a.py": "from b import x\n", "b.py": "from a import x\n"})
    assert imported_definitions(graph, "c.py", "from a import x\nx", "", 5) == []
