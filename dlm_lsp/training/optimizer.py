"""AdamW over an adapter's weights, with a rate of its own for the matrices B, and its state in the model's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dlm_lsp.training.adapter import output_matrices

if TYPE_CHECKING:
    import torch


def trained(model: Any) -> list[Any]:
    """The parameters that learn, in the model's order."""
    return [each for each in model.parameters() if each.requires_grad]


def make_optimizer(model: Any) -> torch.optim.AdamW:
    """Without weight decay, fused where torch has it for the device; the second group are the matrices B."""
    upper = set(output_matrices(model))
    return adamw([[each for each in trained(model) if (each in upper) is wanted] for wanted in (False, True)])


def adamw(groups: Sequence[Sequence[torch.nn.Parameter]]) -> torch.optim.AdamW:
    """AdamW as every step uses it."""
    import torch

    parts = [{"params": list(group)} for group in groups]
    try:
        return torch.optim.AdamW(parts, lr=0.0, weight_decay=0.0, fused=True)
    except RuntimeError:
        return torch.optim.AdamW(parts, lr=0.0, weight_decay=0.0)


def set_rates(optimizer: torch.optim.AdamW, rate: float, b_ratio: float) -> None:
    """The next step's rates: `rate`, and `b_ratio` times as much for the matrices B."""
    for group, factor in zip(optimizer.param_groups, (1.0, b_ratio), strict=True):
        group["lr"] = rate * factor


def written_state(optimizer: torch.optim.AdamW, model: Any) -> dict[str, Any]:
    """The state dict of the same optimizer with one group, its parameters in the model's order."""
    state = optimizer.state_dict()
    places = _places(optimizer, model)
    moments = {places[number]: each for number, each in state["state"].items()}
    group = {**state["param_groups"][0], "params": sorted(places)}
    return {"state": dict(sorted(moments.items())), "param_groups": [group]}


def read_moments(optimizer: torch.optim.AdamW, model: Any, saved: Mapping[str, Any]) -> None:
    """Takes over the moments of a `written_state`; its group (rate, betas, which kernel) stays this optimizer's own.

    Raises KeyError, ValueError, TypeError or RuntimeError where they do not fit.
    """
    places = _places(optimizer, model)
    moments = {number: saved["state"][place] for number, place in enumerate(places)}
    if len(saved["state"]) != len(places):
        raise ValueError("their number is another")
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, each in optimizer.state.items():
        if each["exp_avg"].shape != parameter.shape or each["exp_avg_sq"].shape != parameter.shape:
            raise ValueError("their shapes are others")


def _places(optimizer: torch.optim.AdamW, model: Any) -> list[int]:
    """For each parameter in the order of the optimizer's groups: which of the model's trained ones it is."""
    own = {each: place for place, each in enumerate(trained(model))}
    return [own[each] for group in optimizer.param_groups for each in group["params"]]
