"""Which lines and calls become tasks, and that the draw is the same everywhere."""

from __future__ import annotations

from model.evaluation.calls import calls_elsewhere
from model.evaluation.copies import copy_shares
from model.evaluation.definitions import ModuleGraph
from model.evaluation.drawing import code_lines, draw
from tests.model.evaluation.holes import a_task

SHOP = {
    "shop/cart.py": (
        "class Cart:\n"
        "    def __init__(self, owner):\n"
        "        self.owner = owner\n"
        "\n"
        "    def fill(self, item):\n"
        "        return self.owner\n"
        "\n"
        "    def append(self, item):\n"
        "        return item\n"
        "\n"
        "\n"
        "def total(items):\n"
        "    return sum(items)\n"
        "\n"
        "\n"
        "LIMIT = dict\n"
    ),
    "shop/broken.py": "x = 1\ny = 2\ndef (:\n",
}
TILL = "shop/till.py"


def _calls(text: str) -> list[str]:
    """The lines of each call that is found, joined."""
    lines = text.split("\n")
    found = calls_elsewhere(ModuleGraph({**SHOP, TILL: text}), TILL, text)
    return ["\n".join(lines[first : last + 1]) for first, last in sorted(found)]


def test_calls_lead_to_what_another_file_defines() -> None:
    text = (
        "import math\n"
        "import shop.cart as c\n"
        "from shop.cart import LIMIT, Cart, total as add_up\n"
        "cart = Cart('ann')\n"
        "both = [\n"
        "    add_up([1]),\n"
        "]\n"
        "last = c.total(\n"
        "    [2],\n"
        ")\n"
        "nothing = math.floor(1), LIMIT(), unknown(), (lambda: 1)()\n"
    )
    assert _calls(text) == ["cart = Cart('ann')", "    add_up([1]),", "last = c.total(\n    [2],\n)"]


def test_a_method_is_found_by_its_name_unless_the_name_says_nothing() -> None:
    text = (
        "from shop.cart import Cart\nbasket.fill(1)\nbasket.append(2)\nbasket.owner()\nbasket.__init__(3)\n"
    )
    assert _calls(text) == ["basket.fill(1)"]
    assert _calls(text + "def fill(item):\n    pass\n") == []
    assert _calls("basket.fill(1)\n") == []


def test_what_the_file_itself_defines_is_no_call_of_another() -> None:
    assert _calls("from shop.till import pay\ndef pay():\n    pass\npay()\n") == []


def _code(text: str) -> list[str]:
    lines = text.split("\n")
    return [lines[n].strip() for n in code_lines(text)]


def test_blank_lines_comments_docstrings_and_what_follows_a_blank_line_are_not_drawn() -> None:
    text = (
        "import os\n"
        "import sys\n"
        "\n"
        "def f(a):\n"
        "    '''One line.'''\n"
        "    # a comment\n"
        "    b = '''\n"
        "    text that is code\n"
        "    '''\n"
        "    return b\n"
        "class C:\n"
        '    r"""More.\n'
        "\n"
        "    lines.\n"
        '    """\n'
        "    x = 1  # why\n"
    )
    assert _code(text) == [
        "import sys",
        "b = '''",
        "text that is code",
        "'''",
        "return b",
        "class C:",
        "x = 1  # why",
    ]


def _repository() -> dict[str, str]:
    lines = [f"value_{n} = total([{n}])" for n in range(40)]
    return {**SHOP, TILL: "from shop.cart import total\n" + "\n".join(lines) + "\n"}


def test_a_task_is_the_file_with_a_hole_of_whole_lines() -> None:
    texts = _repository()
    tasks = draw("shop", texts, sorted(texts), 5, seed=1)
    assert [t.task_id for t in tasks] == [f"shop/{kind}/{n}" for kind in ("line", "api") for n in range(5)]
    for task in tasks:
        assert task.text == texts[task.path]
        assert task.prefix.endswith("\n")
        assert task.suffix.startswith("\n")
        assert task.target.strip()
    assert all(task.path == TILL for task in tasks if task.kind == "api")


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_files() -> None:
    texts = _repository()
    drawn = draw("shop", texts, sorted(texts), 5, seed=1)
    again = dict(reversed(texts.items()))
    assert draw("shop", again, sorted(again, reverse=True), 5, seed=1) == drawn
    assert draw("shop", texts, sorted(texts), 5, seed=2) != drawn
    assert draw("shop", texts, sorted(texts), 3, seed=1) == drawn[:3] + drawn[5:8]


def test_no_two_answers_of_a_kind_are_alike() -> None:
    texts = {"a.py": "import os\n" + "x = 1\n" * 20 + "y = 2\n", "b.py": "import os\n    \n" + "x = 1\n" * 3}
    assert sorted(t.target for t in draw("r", texts, list(texts), 9, seed=1)) == ["x = 1", "y = 2"]


def test_files_that_are_not_usable_or_do_not_parse_and_long_calls_give_no_task() -> None:
    long = "from shop.cart import total\ntotal(\n" + "    1,\n" * 29 + ")\n"
    texts = {**SHOP, "shop/long.py": long, "shop/short.py": long.replace("    1,\n", "", 1)}
    drawn = draw("shop", texts, ["shop/broken.py", "shop/long.py", "shop/short.py"], 100, seed=1)
    assert {t.path for t in drawn if t.kind == "api"} == {"shop/short.py"}
    assert {t.path for t in drawn if t.kind == "line"} == {"shop/long.py", "shop/short.py"}


def test_copies_are_counted_by_whole_lines_elsewhere_and_before() -> None:
    texts = {"shop": {"a.py": "x = 1\nfoo(\n    2,\n)\n", "b.py": "  x = 1  \n  foo(\n 3)\nlong_x = 12\n"}}
    tasks = [
        a_task(path="a.py", prefix="", target="x = 1", suffix="\n"),
        a_task(path="a.py", prefix="x = 1\n", target="foo(\n    2,\n)", suffix="\n"),
        a_task(path="a.py", prefix="y = 3\n", target="y = 3", suffix="\n"),
        a_task(path="a.py", prefix="yy = 3\n", target="x = 12", suffix="\n"),
    ]
    assert copy_shares(tasks, texts) == {
        "first line in other files": 50.0,
        "first line there or before": 75.0,
        "whole answer in other files": 25.0,
        "whole answer there or before": 50.0,
    }
    assert copy_shares([], texts)["first line in other files"] == 0.0
