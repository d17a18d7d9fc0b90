from __future__ import annotations

import math

import pytest
import torch

from model.training import losses


def test_alignment_against_a_hand_computation() -> None:
    # Less their mean (2, 1) the encoded vectors are (-1, 0), (0, -1), (1, 1): cosines 0, -1/sqrt(2), -1/sqrt(2).
    encoded = torch.tensor([[1.0, 1.0], [2.0, 0.0], [3.0, 2.0]])
    projected = torch.eye(3)  # all cosines 0
    # Of the nine pairs three are of a vector with itself; of the others four differ, by 1/sqrt(2).
    assert float(losses.alignment_loss(encoded, projected)) == pytest.approx(4 * 0.5 / 9)


def test_alignment_teaches_the_projector_only() -> None:
    encoded, projected = torch.randn(5, 3, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    losses.alignment_loss(encoded, projected).backward()
    assert encoded.grad is None
    assert projected.grad is not None
    assert projected.grad.abs().sum() > 0


def test_mean_cosine_tells_collapse() -> None:
    assert losses.mean_pairwise_cosine(torch.eye(4)) == pytest.approx(0.0)
    assert losses.mean_pairwise_cosine(torch.tensor([[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]])) == pytest.approx(
        1.0
    )


def test_utility_weights_grow_with_the_gain_and_stay_between_0_and_2() -> None:
    weights = losses.utility_weights(torch.tensor([-10.0, 0.0, 0.25, 10.0]))
    expected = [0.0, 1.0, 2 / (1 + math.exp(-1)), 2.0]
    assert weights.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("gain", "harmful"), [(-0.01, True), (0.0, False), (0.5, False)])
def test_a_context_that_lowers_the_likelihood_is_harmful(gain: float, harmful: bool) -> None:
    assert losses.is_harmful(gain) is harmful


def test_retrieval_loss_is_low_where_queries_point_at_their_keys() -> None:
    keys = torch.eye(3)
    right = losses.retrieval_loss(keys, keys, torch.tensor([0, 1, 2]))
    wrong = losses.retrieval_loss(keys, keys, torch.tensor([1, 2, 0]))
    # One key at cosine 1 among three, temperature 0.05.
    assert float(right) == pytest.approx(math.log(1 + 2 * math.exp(-20)), abs=1e-6)
    assert float(wrong) == pytest.approx(20.0, abs=1e-3)


def test_self_critical_loss_raises_what_beats_the_greedy_answer() -> None:
    likelihood = torch.zeros(2, requires_grad=True)
    losses.self_critical_loss(likelihood, torch.tensor([1.0, 0.2]), torch.tensor([0.5, 0.5])).backward()
    assert likelihood.grad is not None
    assert likelihood.grad.tolist() == pytest.approx([-0.25, 0.15])


def test_the_papers_alignment_against_a_hand_computation() -> None:
    encoded = torch.tensor([[1.0, 0.0], [1.0, 1.0]])  # cosine 1/sqrt(2)
    projected = torch.eye(2)  # cosine 0
    # Two entries of the difference are 1/sqrt(2), so its norm is 1.
    assert float(losses.paper_alignment_loss(encoded, projected)) == pytest.approx(1 / math.sqrt(2))


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_scores_in_chunks_are_those_of_all_logits(chunk: int) -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(7, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True)
    targets = torch.tensor([0, 8, 3, 3, 1, 2, 5])
    whole = torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="none")
    expected = torch.autograd.grad(whole.sum(), (hidden, head))
    scores = losses.scored(hidden, head, targets, chunk)
    torch.testing.assert_close(scores.losses, whole)
    assert torch.equal(scores.right, (hidden @ head.T).argmax(-1) == targets)
    for found, wanted in zip(torch.autograd.grad(scores.losses.sum(), (hidden, head)), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_middle_is_right_when_each_of_its_tokens_is() -> None:
    middles = torch.tensor([[False, True, True], [False, True, False], [True, True, False]])
    right = torch.tensor([[False, True, True], [False, True, False], [True, False, True]])
    scores = losses.TokenScores(torch.tensor([[9.0, 1, 3], [9, 2, 9], [1, 1, 9]]), right)
    assert losses.middles_right(scores, middles).tolist() == [True, True, False]
    assert losses.middle_losses(scores, middles).tolist() == [2.0, 2.0, 1.0]
