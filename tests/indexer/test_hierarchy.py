"""The tree of digests: bounded fan-out, no paths, and few changes for one edit."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.chunking import Chunk, Symbol
from indexer.hierarchy import CHUNK, DIRECTORY, FILE, MAX_CHILDREN, Node, directory_parents, leaf, parents


def node(name: object) -> Node:
    return Node(blake2b(str(name).encode(), digest_size=16).digest(), CHUNK, 0)


def a_chunk(text: str, scope: str = "") -> Chunk:
    return Chunk(text, 1, 1, scope, ())


def test_a_leaf_is_its_text_scope_and_embedder():
    known = leaf(a_chunk("x = 1\n\n"), "model")
    assert leaf(a_chunk("x = 1\n"), "model") == known  # blank lines at the end say nothing
    assert leaf(a_chunk("x = 2\n"), "model") != known
    assert leaf(a_chunk("x = 1\n", "class A:"), "model") != known
    assert leaf(a_chunk("x = 1\n"), "other model") != known
    assert leaf(Chunk("x = 1\n", 1, 1, "", (Symbol("x", "variable", "x = 1"),)), "model") != known


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 100, 5_000])
@pytest.mark.parametrize("alike", [False, True], ids=["distinct", "equal"])
def test_fan_out_is_bounded_and_every_child_is_reached(count, alike):
    children = [node(0 if alike else number) for number in range(count)]
    made = parents(FILE, children)
    known = {child.digest for child in children}
    for parent in made:
        assert 1 <= len(parent.children) <= MAX_CHILDREN
        assert set(parent.children) <= known  # children come before their parents
        known.add(parent.digest)
    assert made[-1].level == FILE
    used = {digest for parent in made for digest in parent.children}
    assert {child.digest for child in children} <= used


def test_nothing_has_no_parent():
    assert parents(FILE, []) == []


def test_order_counts_in_a_file_and_not_in_a_directory():
    a, b = node("a"), node("b")
    assert parents(FILE, [a, b])[-1].digest != parents(FILE, [b, a])[-1].digest
    assert directory_parents(DIRECTORY, [a, b]) == directory_parents(DIRECTORY, [b, a])


@settings(max_examples=30, deadline=None)
@given(st.integers(33, 3_000), st.data())
def test_one_child_more_changes_a_few_groups(count, data):
    children = [node(number) for number in range(count)]
    place = data.draw(st.integers(0, count))
    old = parents(FILE, children)
    new = parents(FILE, [*children[:place], node("new"), *children[place:]])
    assert len({made.digest for made in new} - {made.digest for made in old}) <= 3 * new[-1].height + 3
