"""What a plan asks of a host before it starts, and how a no is told.

Belongs here: choosing the questions, the exit code. Does not belong: the questions themselves
(`operations.plan.preflight`).
"""

from datetime import datetime, timedelta
from typing import NoReturn

import typer

from eth_pipeline.cli.console import err
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.operations.host_health import Check
from eth_pipeline.operations.plan.spec import Gpu, PlanSpec
from eth_pipeline.settings import NetworkDevice, Settings

CHECK_FAILED = 3


def plan_checks(spec: PlanSpec, settings: Settings, *, scale: str) -> tuple[Check, ...]:
    """Whether the host, its clock and its data are fit for a plan of this scale."""
    from eth_pipeline.operations.plan.preflight import data_checks, host_checks

    requires = spec.scale(scale).requires
    gpu = requires.gpu if settings.networks.device == "auto" else _GPU_BY_DEVICE[settings.networks.device]
    now, offset = exchange_time(settings)
    return (
        *host_checks(settings, requires=requires, gpu=gpu),
        *data_checks(settings, requires=requires, now=now, clock_offset=offset),
    )


_GPU_BY_DEVICE: dict[NetworkDevice, Gpu] = {"cpu": "none", "cuda": "required"}


def exchange_time(settings: Settings) -> tuple[datetime, timedelta | None]:
    """Exchange time as runs have it, and how far it is ahead of this host; None where the exchange does not answer.

    Behind an air gap that is the time of the snapshot's export and what passed since its import, whatever the clock.
    """
    from eth_pipeline.defs.resources import exchange_moment, exchange_state
    from eth_pipeline.exchange.http.transport import Transport

    with Transport(settings.exchange, state_path=exchange_state(settings)) as transport:
        moment = exchange_moment(transport)
    return moment.now, moment.now - SystemClock().now() if moment.reachable else None


def refused(checks: tuple[Check, ...]) -> bool:
    """True where something that must be is not."""
    return any(check.required and not check.passed for check in checks)


def refuse(checks: tuple[Check, ...]) -> NoReturn:
    """Say what must be and is not, and leave with the exit code for it."""
    for each in checks:
        if each.required and not each.passed:
            err.print(f"{each.name}: {each.detail}", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(CHECK_FAILED)
