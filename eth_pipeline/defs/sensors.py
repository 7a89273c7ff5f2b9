"""Sensors: a moved production alias brings the new bundle to this host.

Belongs here: noticing. Does not belong: what is done about it (`defs.jobs`), failed runs (`defs.failures`).
"""

import json

import dagster as dg

from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.defs.assets.training_set import registry_store
from eth_pipeline.defs.jobs import production_job
from eth_pipeline.errors import RegistryUnavailable
from eth_pipeline.registry.promotions.production import doubt, pointer
from eth_pipeline.settings import load_settings

_RECONCILE_EVERY_SECONDS = 600


@dg.sensor(
    job=production_job,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts `production` when the registry's production alias names another version, and when it answers again "
        "after it did not."
    ),
)
def production_alias_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Compare the alias with the version this sensor saw last (its cursor)."""
    settings = load_settings()
    try:
        production = registry_store(settings).production()
    except RegistryUnavailable as error:
        doubt(settings.home, f"the registry did not answer: {error}")
        return dg.SkipReason(f"registry does not answer: {error}")
    if production is None:
        return dg.SkipReason("no version has the production alias yet")
    seen = json.loads(context.cursor) if context.cursor else {}
    if (seen.get("version"), seen.get("fingerprint")) == (production.version, production.fingerprint):
        here = pointer(settings.home)
        if here is None or not here.unreconciled:
            return dg.SkipReason(f"production is still version {production.version}")
        # The registry answers again. One run per key and ten minutes, also where the run keeps failing.
        tenth = int(SystemClock().now().timestamp() // _RECONCILE_EVERY_SECONDS)
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"reconcile-{tenth}")], cursor=context.cursor)
    # Dagster launches a run key once, for ever: a rollback to version 1 needs another key than its promotion had.
    moves = seen.get("moves", 0) + 1
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"production-{moves}-{production.version}-{production.fingerprint[:12]}")],
        cursor=json.dumps({"version": production.version, "fingerprint": production.fingerprint, "moves": moves}),
    )
