"""The steps that the networks are trained by: torch's own AdamW, bit for bit."""

import copy
import subprocess
import sys

import torch
from torch import nn

from eth_pipeline.models.networks.optimiser import FusedAdamW

RATE, DECAY = 3e-3, 0.1


class TwoHeads(nn.Module):
    """Matrices and vectors; the second head is not asked in every batch, so it has no gradient there."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.first, self.second = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, windows: torch.Tensor, *, both: bool) -> torch.Tensor:
        last = self.body(windows)[0][:, -1]
        answer: torch.Tensor = self.first(last) + (self.second(last) if both else 0.0)
        return answer


def test_every_step_is_the_one_of_torchs_own_adamw() -> None:
    """Its class loads torch's compiler; whoever saves that must not train other models."""
    torch.manual_seed(5)
    ours = TwoHeads()
    theirs = copy.deepcopy(ours)
    step = FusedAdamW(ours.parameters(), learning_rate=RATE, weight_decay=DECAY)
    groups = [
        {"params": [w for w in theirs.parameters() if w.dim() > 1], "weight_decay": DECAY},
        {"params": [w for w in theirs.parameters() if w.dim() <= 1], "weight_decay": 0.0},
    ]
    torchs = torch.optim.AdamW(groups, lr=RATE, fused=True)
    begun = copy.deepcopy(ours.state_dict())
    for number in range(7):
        windows, both = torch.randn(16, 5, 3), number % 3 > 0
        step.forget_gradients()
        torchs.zero_grad(set_to_none=True)
        for network in (ours, theirs):
            network(windows, both=both).square().mean().backward()
        step.step()
        torchs.step()
        for name, weight in ours.state_dict().items():
            assert torch.equal(weight, theirs.state_dict()[name]), (number, name)
            asked = both or number > 0 or not name.startswith("second")
            assert torch.equal(weight, begun[name]) is not asked, (number, name)


def test_a_training_loads_no_compiler() -> None:
    """Nothing is compiled; torch's compiler costs every process that trains a second and 72 MB."""
    code = """
import sys
from eth_pipeline_tests.planted_sequence import planted_sequence
from eth_pipeline_tests.test_models_networks_training import trained
trained(planted_sequence(400, strength=3.0, seed=2), epochs=1)
print([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "[]", done.stderr
