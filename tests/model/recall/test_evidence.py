"""What followed the same tokens before, and how it is mixed with what the coder expects."""

from __future__ import annotations

import numpy as np
import pytest

from model.recall.evidence import (
    NOTHING,
    evidence,
    gate_features,
    matches_within,
    mixed,
    probabilities,
    shares,
)


def followers(ids: list[int], context: list[int]) -> list[tuple[int, list[int]]]:
    return [(length, tokens.tolist()) for length, tokens in matches_within(np.array(ids), context)]


def test_the_longest_end_of_a_context_comes_first_and_shorter_ones_add_places() -> None:
    assert followers([1, 2, 3, 7, 9, 2, 3, 8, 5], [0, 1, 2, 3]) == [(3, [7]), (2, [7, 8])]


@pytest.mark.parametrize(
    ("ids", "context"),
    [([], [1, 2]), ([1, 2], []), ([1, 2, 3], [4, 5]), ([5, 1, 2], [1, 2]), ([1, 2, -1, 3], [1, 2])],
)
def test_what_never_stood_there_or_is_followed_by_nothing_matches_nothing(
    ids: list[int], context: list[int]
) -> None:
    assert followers(ids, context) == []


def test_evidence_is_a_distribution_that_trusts_longer_matches_more() -> None:
    found = evidence([(5, np.array([7])), (2, np.array([7, 8, 8, 8]))])

    assert (found.length, found.count, found.tokens.tolist()) == (5, 1, [7, 8])
    assert found.chances.sum() == pytest.approx(1.0)
    assert found.chances[0] > found.chances[1]
    assert found.of([8, 3]).tolist() == [found.chances[1], 0.0]


def test_without_a_match_there_is_no_evidence() -> None:
    assert evidence([]) is NOTHING


def test_a_source_without_evidence_has_no_share() -> None:
    own = evidence([(5, np.array([7]))])
    coder = probabilities(np.zeros(10))
    seen = gate_features(own, NOTHING, coder, first=False)
    weights = shares(np.ones((3, len(seen))), seen, True, False)

    assert weights.sum() == pytest.approx(1.0)
    assert weights[2] == 0.0


def test_the_mixture_is_a_distribution_and_follows_its_shares() -> None:
    own = evidence([(5, np.array([7]))])
    coder = probabilities(np.arange(10.0))

    result = mixed(coder, own, NOTHING, np.array([0.4, 0.6, 0.0]))
    assert result.sum() == pytest.approx(1.0)
    assert result.argmax() == 7
    assert mixed(coder, own, NOTHING, np.array([1.0, 0.0, 0.0])) == pytest.approx(coder)
