"""Tests of eth_pipeline.models.networks.tft_layers and tft_network against an independent implementation.

The arrays come from `oracles/temporal_fusion_golden.py`, whose first lines say how to make them again.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eth_pipeline.models.networks.tft_layers import (
    GatedResidual,
    GatedSkip,
    GroupedLinear,
    InterpretableAttention,
    VariableSelection,
)
from eth_pipeline.models.networks.tft_network import TemporalFusion

GOLDEN = Path(__file__).parent / "oracles" / "temporal_fusion_golden.npz"
ORACLE_EPSILON = 1e-3
WIDTH, VARIABLES, KNOWN, HEADS = 8, 5, 2, 2
Weights = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def golden() -> Weights:
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}


def weights_of(golden: Weights, block: str) -> Weights:
    start = f"{block}/weight/"
    return {name.removeprefix(start): array for name, array in golden.items() if name.startswith(start)}


def under(weights: Weights, name: str) -> Weights:
    return {key.removeprefix(f"{name}."): array for key, array in weights.items() if key.startswith(f"{name}.")}


def load(module: nn.Module, weights: Weights) -> None:
    module.load_state_dict(dict(weights))


def load_skip(ours: GatedSkip, *, gate: Weights, norm: Weights) -> None:
    load(ours.gate, gate)
    load(ours.norm, norm)
    ours.norm.eps = ORACLE_EPSILON


def load_residual(ours: GatedResidual, weights: Weights) -> GatedResidual:
    load(ours.widen, under(weights, "lin_a"))
    load(ours.mix, under(weights, "lin_i"))
    load_skip(ours.gated, gate=under(weights, "glu.lin"), norm=under(weights, "layer_norm.ln"))
    for part, name in ((ours.context, "lin_c"), (ours.skip, "out_proj")):
        assert (part is None) == (not under(weights, name))
        if part is not None:
            load(part, under(weights, name))
    return ours.eval()


def load_selection(ours: VariableSelection, weights: Weights) -> VariableSelection:
    """The oracle has one small network per variable, ours one with a weight per variable."""
    load_residual(ours.weigh, under(weights, "joint_grn"))
    count = ours.each.widen.weight.shape[0]
    each = [under(weights, f"var_grns.{number}") for number in range(count)]

    def stacked(name: str, *, transposed: bool) -> Tensor:
        parts = [part[name].T if transposed else part[name].unsqueeze(0) for part in each]
        return torch.stack(parts)

    for layer, name in ((ours.each.widen, "lin_a"), (ours.each.mix, "lin_i"), (ours.each.gated.gate, "glu.lin")):
        load(
            layer,
            {"weight": stacked(f"{name}.weight", transposed=True), "bias": stacked(f"{name}.bias", transposed=False)},
        )
    norm = {part: stacked(f"layer_norm.ln.{part}", transposed=False) for part in ("weight", "bias")}
    load(ours.each.gated.norm, norm)
    ours.each.gated.norm.eps = ORACLE_EPSILON
    return ours.eval()


def load_attention(ours: InterpretableAttention, weights: Weights) -> InterpretableAttention:
    split = weights["qkv_linears.weight"].split([WIDTH, WIDTH, WIDTH // HEADS])
    for layer, weight in zip((ours.query, ours.key, ours.value), split, strict=True):
        load(layer, {"weight": weight})
    load(ours.out, {"weight": weights["out_proj.weight"]})
    return ours.eval()


def by_variable(x: Tensor) -> Tensor:
    """[rows, hours, variables, width] to [variables, rows * hours, width]."""
    return x.flatten(0, 1).transpose(0, 1)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)


@torch.no_grad()
def test_the_gated_residual_network_equals_the_oracle(golden: Weights) -> None:
    ours = load_residual(GatedResidual(WIDTH, WIDTH, WIDTH, dropout=0.5, context=WIDTH), weights_of(golden, "residual"))
    close(ours(golden["residual/x"], golden["residual/context"]), golden["residual/out"])


@torch.no_grad()
def test_a_gated_residual_network_that_changes_the_width_equals_the_oracle(golden: Weights) -> None:
    """The oracle's hidden width here is 7; its context is absent."""
    ours = load_residual(GatedResidual(WIDTH, 7, 4, dropout=0.5), weights_of(golden, "narrowing"))
    close(ours(golden["narrowing/x"]), golden["narrowing/out"])


@torch.no_grad()
def test_variable_selection_equals_the_oracle_and_its_weights_sum_to_one(golden: Weights) -> None:
    ours = load_selection(VariableSelection(VARIABLES, WIDTH, dropout=0.5), weights_of(golden, "selection"))
    selected, weights = ours(by_variable(golden["selection/x"]), golden["selection/context"])
    close(selected, golden["selection/out"].flatten(0, 1))
    close(weights, golden["selection/weights"].flatten(0, 1))
    close(weights.sum(dim=-1), torch.ones(len(weights)))


@torch.no_grad()
@pytest.mark.parametrize("width", [WIDTH, 1])
def test_selecting_from_numbers_equals_selecting_from_their_embeddings(width: int) -> None:
    """At width 1 inputs and outputs are of one size, so the weighing network's skip is no map of its own."""
    torch.manual_seed(5)
    ours = VariableSelection(VARIABLES, width, dropout=0.5).eval()
    embed = GroupedLinear(VARIABLES, 1, width)
    values, context = 3 * torch.randn(40, VARIABLES), torch.randn(width)
    selected, weights = ours(embed(values.t().unsqueeze(-1)), context)
    composed = ours.of_values(values, embed, context)
    close(composed[0], selected)
    close(composed[1], weights)


@torch.no_grad()
def test_interpretable_attention_equals_the_oracle(golden: Weights) -> None:
    ours = load_attention(InterpretableAttention(WIDTH, HEADS), weights_of(golden, "attention"))
    x = golden["attention/x"]
    causal = torch.ones(x.shape[1], x.shape[1]).tril().bool()
    out, attention = ours(x, x, causal)
    close(out, golden["attention/out"])
    close(attention, golden["attention/by_head"].mean(dim=1))


@torch.no_grad()
def test_the_whole_way_from_inputs_to_decoded_steps_equals_the_oracle(golden: Weights) -> None:
    """Ours answers the horizons only; the oracle decodes every step, and steps 1, 3 and 4 must be the same."""
    encoder, decoder = weights_of(golden, "encoder"), weights_of(golden, "decoder")
    context, past, future = (golden[f"encoder/{name}"] for name in ("context", "past", "future"))
    ours = TemporalFusion(WIDTH, heads=HEADS, dropout=0.5)
    load(ours.encoder, under(encoder, "history_encoder"))
    load(ours.decoder, under(encoder, "future_encoder"))
    load_skip(ours.local, gate=under(encoder, "input_gate.lin"), norm=under(encoder, "input_gate_ln"))
    load_residual(ours.enrich, under(decoder, "enrichment_grn"))
    load_attention(ours.attention, under(decoder, "attention"))
    load_skip(ours.attended, gate=under(decoder, "attention_gate.lin"), norm=under(decoder, "attention_ln"))
    load_residual(ours.feed_forward, under(decoder, "positionwise_grn"))
    load_skip(ours.decoded, gate=under(decoder, "decoder_gate.lin"), norm=under(decoder, "decoder_ln"))
    ours.eval()
    select_past = load_selection(VariableSelection(VARIABLES, WIDTH, dropout=0.5), under(encoder, "history_vsn"))
    select_future = load_selection(VariableSelection(KNOWN, WIDTH, dropout=0.5), under(encoder, "future_vsn"))
    hours = past.shape[1]
    steps = torch.tensor([hours, hours + 2, hours + 3])
    out, attention = ours(
        select_past(by_variable(past), context)[0].reshape(len(past), -1, WIDTH),
        select_future(by_variable(future), context)[0].reshape(len(past), -1, WIDTH),
        (context, golden["encoder/cell"], golden["encoder/hidden"]),
        steps,
    )
    close(out, golden["decoder/out"][:, steps - hours])
    close(attention, golden["decoder/by_head"].mean(dim=1)[:, steps])


@torch.no_grad()
def test_a_query_sees_nothing_behind_its_step() -> None:
    torch.manual_seed(3)
    ours = InterpretableAttention(WIDTH, HEADS)
    x = torch.randn(2, 6, WIDTH)
    changed = x.clone()
    changed[:, 4:] = 9.0
    allowed = torch.arange(6) <= torch.tensor([[3]])
    before, after = (ours(x[:, 3:4], sequence, allowed) for sequence in (x, changed))
    assert torch.equal(before[0], after[0])
    assert before[1][..., 4:].eq(0).all()
