from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from model.training.optimization import Cosine, Course, Optimizers, course_of


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.05, 0.5), (0.1, 1.0), (0.6, 1.0), (0.7, 1.0), (1.0, 0.02), (2.0, 0.02)]
)
def test_the_learning_rate_warms_up_stays_and_falls(progress: float, expected: float) -> None:
    assert Course(warmup=0.1, decay=0.3, floor=0.02).factor(progress) == pytest.approx(expected)


def test_the_fall_is_steep_at_first_and_never_turns() -> None:
    factors = [Course().factor(0.7 + 0.03 * i) for i in range(11)]
    assert factors == sorted(factors, reverse=True)
    assert factors[5] < 0.4


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(4, 4)])
        self.head = nn.Linear(4, 2)


def step(optimizers: Optimizers, net: Net, factor: float = 1.0) -> None:
    net.head(net.layers[0](torch.ones(3, 4))).square().sum().backward()
    optimizers.step(factor)


def test_frozen_weights_do_not_move() -> None:
    net = Net()
    net.layers.requires_grad_(False)
    before = {name: p.clone() for name, p in net.named_parameters()}
    step(Optimizers([(net, 0.1)], weight_decay=0.1, muon=True), net)
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"head.weight", "head.bias"}


def test_each_part_learns_at_its_own_rate() -> None:
    net = Net()
    before = {name: p.clone() for name, p in net.named_parameters()}
    step(Optimizers([(net.layers, 1e-3), (net.head, 1e-1)], weight_decay=0.0, muon=False), net)
    sizes = {name: float((p - before[name]).detach().abs().max()) for name, p in net.named_parameters()}
    assert sizes["head.weight"] == pytest.approx(1e-1, rel=1e-3)
    assert sizes["layers.0.weight"] == pytest.approx(1e-3, rel=1e-3)


def test_saved_moments_are_taken_up_and_the_new_rate_holds() -> None:
    nets = Net(), Net()
    first = Optimizers([(nets[0], 1e-2)], weight_decay=0.1, muon=True)
    step(first, nets[0])
    second = Optimizers([(nets[1], 1e-2)], weight_decay=0.1, muon=True)
    second.load(copy.deepcopy(first.state()))
    nets[1].load_state_dict(nets[0].state_dict())
    step(first, nets[0])
    step(second, nets[1])
    for mine, theirs in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(mine, theirs)
    third = Optimizers([(nets[1], 0.0)], weight_decay=0.1, muon=True)
    third.load(copy.deepcopy(first.state()))
    before = [p.clone() for p in nets[1].parameters()]
    step(third, nets[1])
    assert all(torch.equal(a, b) for a, b in zip(before, nets[1].parameters(), strict=True))


def test_half_a_cosine_falls_from_the_warm_up_to_nothing() -> None:
    course = course_of("cosine", warmup=0.1, decay=0.5)
    assert course == Cosine(0.1)
    assert [course.factor(p) for p in (0.05, 0.1, 0.55, 1.0)] == pytest.approx([0.5, 1.0, 0.5, 0.0])
    assert course_of("wsd", 0.1, 0.3) == Course(0.1, 0.3)
