"""A trained network to ONNX: raw windows in, one probability per horizon out, one file.

Belongs here: the exported module and the call of torch's exporter. Does not belong: the proof of parity
(`models.parity`), probe windows (`probes`). Imports torch at its top: import it inside a function.

torch's newer exporter needs a further package (onnxscript); its TorchScript exporter does not, works offline and still
knows every operator used here. It announces its retirement at each call, which is silenced here and tested elsewhere:
the export is compared with its source on every training run.
"""

import io
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eth_pipeline.models.forecaster import OnnxModel
from eth_pipeline.models.networks.input_layer import InputLayer
from eth_pipeline.models.networks.sequence_body import SequenceBody
from eth_pipeline.models.onnx_file import INPUT_NAME, OPSET


class ExportedNetwork(nn.Module):
    """Input layer, members averaged in logits, sigmoid: [rows, window_hours, features] to [rows] per horizon."""

    def __init__(self, inputs: InputLayer, bodies: Sequence[SequenceBody]) -> None:
        super().__init__()
        self.inputs = inputs
        self.bodies = nn.ModuleList(bodies)

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Probabilities of up, one tensor per horizon."""
        prepared = self.inputs(raw)
        logits = torch.stack([body(prepared)[..., 0] for body in self.bodies]).mean(dim=0)
        return torch.unbind(torch.sigmoid(logits), dim=1)


def output_name(horizon_hours: int) -> str:
    """`probability_up_5h`."""
    return f"probability_up_{horizon_hours}h"


def export_network(
    network: ExportedNetwork, *, window_hours: int, features: int, horizons_hours: Sequence[int]
) -> dict[int, OnnxModel]:
    """Write one file that answers every horizon; any number of rows, a fixed window.

    Args:
        network: what is exported, on the CPU.
        window_hours: hours of one window.
        features: columns of the training set, chosen or not.
        horizons_hours: the outputs, in the order of the network.
    """
    names = [output_name(horizon) for horizon in horizons_hours]
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, window_hours, features),),
            written,  # type: ignore[arg-type]  # a buffer is accepted and documented; the annotation knows paths only
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=names,
            dynamic_axes={name: {0: "rows"} for name in (INPUT_NAME, *names)},
        )
    content = written.getvalue()
    return {h: OnnxModel(content, INPUT_NAME, output_name(h), OPSET) for h in horizons_hours}
