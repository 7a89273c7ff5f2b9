"""The account's risk limits as reasons of the gate.

Belongs here: asking the account and naming what it says. Does not belong: the limits (`trading.risk`), the verdict
(`signals.gating.gate`). Trading stands above signals, so this layer brings the one to the other.
"""

from datetime import datetime

from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.trading.account import account_risk


def risk_reasons(lake: Lake, settings: Settings, *, now: datetime) -> tuple[Reason, ...]:
    """One reason per limit that forbids opening at `now`; none before the account has begun."""
    verdict = account_risk(lake, settings=settings, now=now, kill_switch=None)
    return tuple(
        Reason(code=ReasonCode.RISK_LIMIT, subject=refusal.limit, detail=refusal.sentence)
        for refusal in verdict.refusals
    )
