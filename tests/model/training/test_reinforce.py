from __future__ import annotations

import pytest
import torch

from model.engines.torch.qwen2 import Qwen2
from model.training import reinforce
from model.training.batches import AdapterBatch
from model.training.reinforce import Sampling, policy_loss, reward
from model.training.rollout import Asked, answers, asked, cut, greedy, log_likelihoods, nucleus
from model.vocabulary import Vocabulary
from tests.tiny_checkpoint import tiny_config, tiny_network

PROMPTS = ([5, 9, 40, 7, 12], [8, 3], [60, 61, 62])
NEVER: frozenset[int] = frozenset()


@pytest.fixture(scope="module")
def coder() -> Qwen2:
    return tiny_network(tiny_config())


@pytest.fixture(scope="module")
def prompts(coder: Qwen2) -> Asked:
    """Of three lengths, padded with what no answer may depend on."""
    ids = torch.tensor([[*prompt, *[99] * (5 - len(prompt))] for prompt in PROMPTS])
    return Asked(coder.embed(ids), torch.tensor([5, 2, 3]), ((), (), ()))


def test_a_right_answer_is_worth_two_and_a_wrong_one_its_likeness() -> None:
    assert reward("x = 1", "x = 1") == 2.0
    assert reward("x = 2", "x = 1") == pytest.approx(0.8)


def test_answers_of_many_rows_are_those_of_full_passes(coder: Qwen2, prompts: Asked) -> None:
    written = answers(coder, prompts, greedy, NEVER, max_tokens=6)
    for prompt, answer in zip(PROMPTS, written, strict=True):
        ids = list(prompt)
        for token in answer:
            hidden = coder(coder.embed(torch.tensor([ids])))
            assert int(coder.logits(hidden[0, -1]).argmax()) == token
            ids.append(token)
        assert len(answer) == 6


def test_each_answer_stops_at_its_own_stop_token(coder: Qwen2, prompts: Asked) -> None:
    whole = answers(coder, prompts, greedy, NEVER, max_tokens=4)
    stop = whole[1][1]
    expected = [ids[: ids.index(stop) + 1] if stop in ids else ids for ids in whole]
    assert answers(coder, prompts, greedy, frozenset({stop}), max_tokens=4) == expected
    assert len(expected[1]) <= 2


def test_likelihoods_are_the_sums_over_the_answers(coder: Qwen2, prompts: Asked) -> None:
    written = [[3, 8, 2], [7], [4, 4]]
    found = log_likelihoods(coder, prompts, written, chunk=2)
    for prompt, answer, likelihood in zip(PROMPTS, written, found, strict=True):
        hidden = coder(coder.embed(torch.tensor([[*prompt, *answer]])))
        chances = coder.logits(hidden[0]).log_softmax(-1)
        expected = sum(chances[len(prompt) - 1 + i, token] for i, token in enumerate(answer))
        torch.testing.assert_close(likelihood, expected)


def test_a_nucleus_leaves_out_the_tail() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[0.6, 0.25, 0.1, 0.05], [0.05, 0.1, 0.25, 0.6]]).log()
    drawn = torch.stack([nucleus(0.8, 1.0)(logits) for _ in range(200)])
    assert [set(row.tolist()) for row in drawn.T] == [{0, 1}, {2, 3}]


def test_an_answer_is_cut_to_as_many_lines_as_its_target_has(vocabulary: Vocabulary) -> None:
    written = vocabulary.encode("return self\nimport os\n")
    assert vocabulary.tokenizer.decode(cut(vocabulary, written, vocabulary.encode("x"))) == "return self"
    two = vocabulary.tokenizer.decode(cut(vocabulary, written, vocabulary.encode("x\ny")))
    assert two.startswith("return self\nimport os")
    assert two.count("\n") == 1


def _batch(vocabulary: Vocabulary, right: int) -> AdapterBatch:
    ids = torch.tensor([[*PROMPTS[0], right, vocabulary.fim.end]])
    return AdapterBatch(ids, torch.ones(1, 6), torch.tensor([[False] * 4 + [True, True]]), ("none",))


def test_what_is_asked_is_the_row_up_to_its_middle(coder: Qwen2, vocabulary: Vocabulary) -> None:
    batch = _batch(vocabulary, 17)
    found = asked(coder.embed(batch.ids[:, :-1]), batch, 0, vocabulary)
    assert found is not None
    assert (found.lengths.tolist(), found.targets) == ([5], ([17],))
    assert torch.equal(found.vectors, coder.embed(torch.tensor([PROMPTS[0]])))


@pytest.mark.parametrize("is_greedy", [False, True], ids=["self-critical", "greedy"])
def test_what_is_rewarded_becomes_likelier(
    monkeypatch: pytest.MonkeyPatch, vocabulary: Vocabulary, is_greedy: bool
) -> None:
    """A sample that beats the served answer; without a baseline the served answer itself, as far as it is right."""
    coder = tiny_network(tiny_config(), seed=2).requires_grad_(True)
    right, wrong = vocabulary.encode("a")[0], vocabulary.encode("b")[0]
    batch = _batch(vocabulary, right)
    served = right if is_greedy else wrong
    monkeypatch.setattr(
        reinforce,
        "answers",
        lambda coder, prompts, choose, *_: [[served if choose is greedy else right]],
    )
    prompt = Asked(coder.embed(torch.tensor([PROMPTS[0]])), torch.tensor([5]), ((),))

    def chance(token: int) -> float:
        return float(log_likelihoods(coder, prompt, [[token]], chunk=8).detach().exp())

    before = chance(right)
    for _ in range(3):
        loss = policy_loss(
            coder, coder.embed(batch.ids[:, :-1]), batch, vocabulary, Sampling(is_greedy=is_greedy)
        )
        assert loss is not None
        loss.backward()
        with torch.no_grad():
            for parameter in coder.parameters():
                parameter -= 1e-3 * torch.nan_to_num(parameter.grad)
                parameter.grad = None
    assert chance(right) > 1.5 * before
