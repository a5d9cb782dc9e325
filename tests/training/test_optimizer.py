"""The optimizer of an adapter: the matrices B move faster, and its written state knows nothing of that."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dlm_lsp.training.optimizer import make_optimizer, read_moments, set_rates, written_state


class Layer(torch.nn.Module):
    """Parameters named as PEFT names them, in the order in which it has them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3, 3), requires_grad=False)
        self.lora_A = torch.nn.Parameter(torch.full((2, 3), 0.5))
        self.lora_B = torch.nn.Parameter(torch.zeros(3, 2))
        self.lora_magnitude_vector = torch.nn.Parameter(torch.ones(3))


@pytest.fixture
def model() -> torch.nn.Module:
    return torch.nn.Sequential(Layer(), Layer())


def step(model: torch.nn.Module, optimizer: torch.optim.AdamW, rate: float, b_ratio: float) -> None:
    for number, each in enumerate(each for each in model.parameters() if each.requires_grad):
        each.grad = torch.full_like(each, 1.0 + number)
    set_rates(optimizer, rate, b_ratio)
    optimizer.step()


def moved(model: torch.nn.Module, name: str) -> float:
    now = dict(model.named_parameters())[name]
    before = dict(torch.nn.Sequential(Layer(), Layer()).named_parameters())[name]
    return float((before - now).detach().abs().mean())


def test_the_matrices_b_move_so_many_times_as_far(model: torch.nn.Module) -> None:
    """Adam's first step is the rate itself, whatever the gradient."""
    step(model, make_optimizer(model), 0.01, 4.0)
    assert moved(model, "0.lora_A") == pytest.approx(0.01, rel=1e-3)
    assert moved(model, "0.lora_magnitude_vector") == pytest.approx(0.01, rel=1e-3)
    assert moved(model, "1.lora_B") == pytest.approx(0.04, rel=1e-3)
    assert moved(model, "0.weight") == 0.0


def test_its_state_is_that_of_one_group_in_the_models_order(model: torch.nn.Module) -> None:
    optimizer = make_optimizer(model)
    step(model, optimizer, 0.01, 2.0)
    written = written_state(optimizer, model)
    trained = [each for each in model.parameters() if each.requires_grad]
    plain = torch.optim.AdamW(trained)
    plain.load_state_dict(written)
    for parameter in trained:
        assert torch.equal(plain.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_moments_written_with_one_group_go_to_their_own_parameters(model: torch.nn.Module) -> None:
    trained = [each for each in model.parameters() if each.requires_grad]
    plain = torch.optim.AdamW(trained, lr=1.0, weight_decay=0.5)
    for number, each in enumerate(trained):
        each.grad = torch.full_like(each, 1.0 + number)
    plain.step()
    optimizer = make_optimizer(model)
    read_moments(optimizer, model, plain.state_dict())
    for parameter in trained:
        assert torch.equal(plain.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.0]


@pytest.mark.parametrize("change", [lambda state: state.pop(0), lambda state: state.update({9: state[0]})])
def test_moments_of_another_number_are_refused(model: torch.nn.Module, change: Any) -> None:
    optimizer = make_optimizer(model)
    step(model, optimizer, 0.01, 1.0)
    written = written_state(optimizer, model)
    change(written["state"])
    with pytest.raises((KeyError, ValueError)):
        read_moments(make_optimizer(model), model, written)
