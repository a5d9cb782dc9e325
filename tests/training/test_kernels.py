"""The faster frozen products and the faster dropout of the CPU are what torch's own are."""

from __future__ import annotations

import pytest


def test_a_frozen_layer_gives_the_products_and_gradients_of_torch_s_own() -> None:
    import torch

    from dlm_lsp.training.linear import FrozenLinear

    torch.manual_seed(0)
    usual = torch.nn.Linear(96, 160).requires_grad_(False)
    frozen = FrozenLinear(96, 160).requires_grad_(False)
    frozen.load_state_dict(usual.state_dict())
    for rows in (1, 7, 64):  # one token of an answer; a few; a step's
        x, y = (torch.randn(2, rows, 96, generator=torch.Generator().manual_seed(rows)) for _ in range(2))
        x.requires_grad_()
        y.requires_grad_()
        torch.testing.assert_close(frozen(x), usual(y), rtol=0, atol=1e-5)
        frozen(x).pow(2).sum().backward()
        usual(y).pow(2).sum().backward()
        assert x.grad is not None
        torch.testing.assert_close(x.grad, y.grad, rtol=0, atol=1e-4)
    assert frozen.weight.grad is None


def test_torch_multiplies_as_before_outside_of_a_frozen_layer() -> None:
    import torch

    from dlm_lsp.training.linear import FrozenLinear

    x, weight = torch.randn(64, 512), torch.randn(512, 512)
    before = x @ weight
    FrozenLinear(512, 512).requires_grad_(False)(x.clone().requires_grad_()).sum().backward()
    assert torch.equal(x @ weight, before)


def test_only_what_is_frozen_is_replaced_and_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from dlm_lsp.training import linear

    for pays in (False, True):
        model = torch.nn.Sequential(torch.nn.Linear(8, 8).requires_grad_(False), torch.nn.Linear(8, 8))
        monkeypatch.setattr(linear, "onednn_pays", lambda pays=pays: pays)
        linear.quicken(model)
        assert [type(layer) is linear.FrozenLinear for layer in model] == [pays, False]


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    import torch

    from dlm_lsp.training.dropout import QuickDropout

    torch.manual_seed(3)
    ones = torch.ones(400, 501)  # an odd number of elements: the last random word is not used up
    for p in (0.05, 0.5):
        dropped = QuickDropout(p)(ones)
        share = float((dropped == 0).float().mean())
        assert abs(share - p) < 5 * (p * (1 - p) / ones.numel()) ** 0.5  # five standard deviations
        assert set(dropped.unique().tolist()) == {0.0, float(torch.tensor(1 / (1 - p)))}


def test_dropout_follows_the_seed_and_rests_outside_of_training() -> None:
    import torch

    from dlm_lsp.training.dropout import QuickDropout

    x, dropout = torch.randn(30, 40), QuickDropout(0.1)
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(x))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert torch.equal(dropout.eval()(x), x)
    assert torch.equal(QuickDropout(0.0)(x), x)


def test_every_dropout_of_a_model_is_replaced() -> None:
    import torch

    from dlm_lsp.training import dropout

    model = torch.nn.ModuleDict({"a": torch.nn.Dropout(0.2), "b": torch.nn.ModuleDict({"c": torch.nn.Dropout(0.3)})})
    dropout.quicken(model)
    assert [each.p for each in model.modules() if isinstance(each, dropout.QuickDropout)] == [0.2, 0.3]
