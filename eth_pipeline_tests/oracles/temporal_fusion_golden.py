"""Makes `temporal_fusion_golden.npz`: weights, inputs and outputs of an independent Temporal Fusion Transformer.

The oracle is neuralforecast's TFT (Nixtla, after NVIDIA's implementation). It is no dependency of this project; to
regenerate, from the repository root:

    python -m venv golden && golden/bin/pip install neuralforecast==3.3.0
    golden/bin/python eth_pipeline_tests/oracles/temporal_fusion_golden.py

Each array is named block/what, weights by the oracle's own parameter names. Everything is float32, without dropout.
Does not belong here: any code of this project; that would not be independent.
"""

from pathlib import Path

import numpy as np
import torch
from neuralforecast.models.tft import (
    GRN,
    InterpretableMultiHeadAttention,
    TemporalCovariateEncoder,
    TemporalFusionDecoder,
    VariableSelectionNetwork,
)

ROWS, PAST, FUTURE, WIDTH, VARIABLES, KNOWN, HEADS = 3, 6, 4, 8, 5, 2, 2
STEPS = PAST + FUTURE


def main() -> None:
    torch.manual_seed(20261122)
    arrays: dict[str, np.ndarray] = {}

    def keep(block: str, module: torch.nn.Module, **tensors: torch.Tensor) -> None:
        for name, weight in module.state_dict().items():
            arrays[f"{block}/weight/{name}"] = weight.numpy()
        for name, tensor in tensors.items():
            arrays[f"{block}/{name}"] = tensor.numpy()

    x = torch.randn(ROWS, PAST, WIDTH)
    context, cell, hidden = torch.randn(3, WIDTH)
    everywhere = context.expand(ROWS, WIDTH)
    with torch.no_grad():
        grn = shaken(GRN(WIDTH, WIDTH, context_hidden_size=WIDTH, activation="ELU"))
        keep("residual", grn, x=x, context=context, out=grn(x, everywhere))

        narrowing = shaken(GRN(WIDTH, 7, output_size=4, activation="ELU"))
        keep("narrowing", narrowing, x=x, out=narrowing(x))

        variables = torch.randn(ROWS, PAST, VARIABLES, WIDTH)
        selection = shaken(VariableSelectionNetwork(WIDTH, VARIABLES, dropout=0.0, grn_activation="ELU"))
        out, weights = selection(variables, everywhere)
        keep("selection", selection, x=variables, context=context, out=out, weights=weights)

        attention = InterpretableMultiHeadAttention(HEADS, WIDTH, PAST, attn_dropout=0.0, dropout=0.0)
        out, by_head = attention(x)
        keep("attention", attention, x=x, out=out, by_head=by_head)

        encoder = shaken(TemporalCovariateEncoder(WIDTH, VARIABLES, KNOWN, dropout=0.0, grn_activation="ELU"))
        decoder = shaken(TemporalFusionDecoder(HEADS, WIDTH, STEPS, PAST, 0.0, 0.0, "ELU"))
        future = torch.randn(ROWS, FUTURE, KNOWN, WIDTH)
        states = [state.expand(1, ROWS, WIDTH).contiguous() for state in (hidden, cell)]
        temporal, _, _ = encoder(variables, future, everywhere, *states)
        out, by_head = decoder(temporal, everywhere)
        keep("encoder", encoder, past=variables, future=future, context=context, cell=cell, hidden=hidden)
        keep("decoder", decoder, temporal=temporal, out=out, by_head=by_head)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """Norms away from gain 1 and offset 0, so that a forgotten one is seen."""
    for weight in module.parameters():
        if weight.dim() == 1:
            weight.add_(0.3 * torch.randn_like(weight))
    return module.eval()


if __name__ == "__main__":
    main()
