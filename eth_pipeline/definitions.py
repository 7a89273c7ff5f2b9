"""Everything Dagster loads, on one page. Explicit on purpose: nothing goes live because a file lies in a folder."""

import itertools

from eth_pipeline.defs.loading import collector_at_rest

with collector_at_rest():
    import dagster as dg

    from eth_pipeline.defs.alerts import alert_sensor
    from eth_pipeline.defs.assets.candidate import candidate_bundle
    from eth_pipeline.defs.assets.exchange import newest_specs, stream_assets
    from eth_pipeline.defs.assets.features import features, labels
    from eth_pipeline.defs.assets.history import archive_recheck, gap_ledger, market_history
    from eth_pipeline.defs.assets.models import model_assets
    from eth_pipeline.defs.assets.operations import lake_maintenance, run_retention
    from eth_pipeline.defs.assets.rebuild import rebuilt_history
    from eth_pipeline.defs.assets.registry import production_bundle, promotion_decision
    from eth_pipeline.defs.assets.signals import consensus, forecast, gate_verdict, shadow_forecast
    from eth_pipeline.defs.assets.sizing import quantile_model, regime_model
    from eth_pipeline.defs.assets.trading import account_tear_sheet, hourly_signal, paper_account, signal_history
    from eth_pipeline.defs.assets.training_plan import bundle_check, training_report
    from eth_pipeline.defs.assets.vintages import historical_forecasts, model_vintage, other_vintage
    from eth_pipeline.defs.checks import stream_freshness
    from eth_pipeline.defs.failures import failed_hour_sensor
    from eth_pipeline.defs.jobs import (
        PLAN_JOBS,
        full_training_job,
        hourly_job,
        maintenance_job,
        plan_jobs,
        production_job,
        training_job,
    )
    from eth_pipeline.defs.resources import Pipeline
    from eth_pipeline.defs.schedules import hourly_schedule, maintenance_schedule, training_schedule
    from eth_pipeline.defs.sensors import production_alias_sensor

defs = dg.Definitions(
    assets=[
        *stream_assets,
        *newest_specs,
        market_history,
        gap_ledger,
        archive_recheck,
        features,
        labels,
        *model_assets,
        quantile_model,
        regime_model,
        candidate_bundle,
        bundle_check,
        training_report,
        model_vintage,
        historical_forecasts,
        other_vintage,
        promotion_decision,
        production_bundle,
        consensus,
        forecast,
        shadow_forecast,
        gate_verdict,
        paper_account,
        account_tear_sheet,
        hourly_signal,
        signal_history,
        rebuilt_history,
        lake_maintenance,
        run_retention,
    ],
    asset_checks=[stream_freshness],
    jobs=[hourly_job, training_job, full_training_job, production_job, maintenance_job, *plan_jobs],
    schedules=[hourly_schedule, training_schedule, maintenance_schedule],
    sensors=[production_alias_sensor, failed_hour_sensor, alert_sensor],
    resources={"pipeline": Pipeline()},
)


def node() -> dg.Definitions:
    """What a training node serves (`eth-pipeline node serve`): the trainings of `defs`, without schedule and sensor.

    The host's daemon evaluates the schedules and sensors of every location: with them here, each hour would be decided
    twice. Promotion stays on the host that has the signing key.
    """
    vintages = ("model_vintage", "historical_forecasts", "other_vintage")
    names = {*itertools.chain.from_iterable(PLAN_JOBS.values()), *vintages}
    trainings = [
        asset
        for asset in defs.assets or ()
        if isinstance(asset, dg.AssetsDefinition)
        if asset.key.to_user_string() in names
    ]
    return dg.Definitions(assets=trainings, jobs=plan_jobs, resources=defs.resources)
