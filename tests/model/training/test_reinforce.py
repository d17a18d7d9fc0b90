from __future__ import annotations

import pytest
import torch

from model.engines.torch.qwen2 import Qwen2
from model.training import reinforce
from model.training.batches import AdapterBatch
from model.training.reinforce import Sampling, answer, greedy, log_likelihood, nucleus, reward
from model.vocabulary import Vocabulary
from tests.tiny_checkpoint import tiny_config, tiny_network


@pytest.fixture(scope="module")
def coder() -> Qwen2:
    return tiny_network(tiny_config())


PROMPT = [5, 9, 40, 7, 12]


def test_a_right_answer_is_worth_two_and_a_wrong_one_its_likeness() -> None:
    assert reward("x = 1", "x = 1") == 2.0
    assert reward("x = 2", "x = 1") == pytest.approx(0.8)


def test_the_cached_answer_is_that_of_full_passes(coder: Qwen2) -> None:
    written = answer(coder, coder.embed(torch.tensor(PROMPT)), greedy, end=-1, max_tokens=6)
    ids = list(PROMPT)
    for token in written:
        hidden = coder(coder.embed(torch.tensor([ids])))
        assert int(coder.logits(hidden[0, -1]).argmax()) == token
        ids.append(token)
    assert len(written) == 6


def test_an_answer_stops_at_its_end_token(coder: Qwen2) -> None:
    prompt = coder.embed(torch.tensor(PROMPT))
    first = answer(coder, prompt, greedy, end=-1, max_tokens=3)
    assert answer(coder, prompt, greedy, end=first[0], max_tokens=3) == first[:1]


def test_the_likelihood_is_the_sum_over_the_answer(coder: Qwen2) -> None:
    prompt, written = coder.embed(torch.tensor(PROMPT)), [3, 8, 2]
    hidden = coder(coder.embed(torch.tensor([PROMPT + written])))
    chances = coder.logits(hidden[0]).log_softmax(-1)
    expected = sum(chances[len(PROMPT) - 1 + i, token] for i, token in enumerate(written))
    torch.testing.assert_close(log_likelihood(coder, prompt, written), expected)


def test_a_nucleus_leaves_out_the_tail() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([0.6, 0.25, 0.1, 0.05]).log()
    choose = nucleus(Sampling(top_p=0.8, temperature=1.0))
    assert {choose(logits) for _ in range(200)} == {0, 1}


def test_a_sample_that_beats_the_served_answer_becomes_likelier(
    monkeypatch: pytest.MonkeyPatch, vocabulary: Vocabulary
) -> None:
    coder = tiny_network(tiny_config(), seed=2).requires_grad_(True)
    right, wrong = vocabulary.encode("a")[0], vocabulary.encode("b")[0]
    ids = torch.tensor([[*PROMPT, right, vocabulary.fim.end]])
    batch = AdapterBatch(ids, torch.ones(1, 6), torch.tensor([[False] * 4 + [True, True]]), ("none",))
    monkeypatch.setattr(
        reinforce, "answer", lambda coder, prompt, choose, *_: [wrong if choose is greedy else right]
    )

    def chance(token: int) -> float:
        return float(log_likelihood(coder, coder.embed(torch.tensor(PROMPT)), [token]).detach().exp())

    before = chance(right)
    for _ in range(3):
        loss = reinforce.self_critical(coder, coder.embed(ids[:, :-1]), batch, vocabulary, Sampling())
        assert loss is not None
        loss.backward()
        with torch.no_grad():
            for parameter in coder.parameters():
                parameter -= 1e-3 * torch.nan_to_num(parameter.grad)
                parameter.grad = None
    assert chance(right) > 1.5 * before
