"""A line of a similar place as it must read here."""

from __future__ import annotations

import pytest

from model.recall.renaming import parallel_of, renaming


@pytest.mark.parametrize(
    ("pairs", "there", "here"),
    [
        pytest.param([("train = Loader(a)", "test = Loader(a)")], "run(train)", "run(test)", id="a word"),
        pytest.param(
            [("x = train_set[0]", "x = test_set[0]")], "y = train_loss", "y = test_loss", id="a part"
        ),
        pytest.param(
            [("x = train_set[0]", "x = test_set[0]")], "class TrainStep:", "class TestStep:", id="camel case"
        ),
        pytest.param([("a = TRAIN_SET", "a = TEST_SET")], "b = TRAIN_SIZE", "b = TEST_SIZE", id="upper case"),
        pytest.param([("x1 = load(1)", "x2 = load(2)")], "y1 = x1", "y2 = x2", id="numbers"),
        pytest.param(
            [("if a is None:", "if b is None:"), ("self.a = a", "self.a = b")],
            "return a",
            "return b",
            id="two lines",
        ),
        pytest.param(
            [("if os.path.exists(key):", "if name and os.path.exists(name):")],
            "del key",
            "del name",
            id="longer here",
        ),
    ],
)
def test_what_differs_around_the_places_differs_in_the_line(
    pairs: list[tuple[str, str]], there: str, here: str
) -> None:
    assert renaming(pairs).apply(there) == here


def test_lines_with_little_in_common_say_nothing() -> None:
    assert renaming([("import os", "return first + second")]).apply("import sys, os") == "import sys, os"


def test_words_that_stay_stay_although_a_part_of_them_changes_elsewhere() -> None:
    pairs = [("train_set = data", "test_set = data"), ("train_rate = 1", "train_rate = 1")]
    assert renaming(pairs).apply("fit(train_set, train_rate)") == "fit(test_set, train_rate)"


def test_where_several_become_others_one_becomes_another() -> None:
    assert renaming([("users = load()", "orders = load()")]).apply("for user in User.all(): pass") == (
        "for order in Order.all(): pass"
    )


def test_a_run_of_lines_is_the_same_but_for_names() -> None:
    there = ["users.sort(key)", "users = load(path)", "def users_of(path):"]
    here = ["orders.sort(key)", "orders = load(path)", "def find(path, strict):"]
    run = parallel_of(there, here)

    assert (run.length, run.words["users"], run.words["path"], run.n_exchanged) == (2, "orders", "path", 1)


def test_a_run_ends_where_a_name_becomes_another() -> None:
    assert (
        parallel_of(
            ["save(users, path)", "users = load(path)"], ["save(orders, path)", "rows = load(path)"]
        ).length
        == 1
    )


def test_signs_are_no_names() -> None:
    assert parallel_of(["total = total + 1"], ["total = total - 1"]).length == 0
