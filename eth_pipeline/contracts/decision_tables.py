"""Tables of the decision plane: signals, consensus, forecasts, changes of state.

Belongs here: their columns and keys. Does not belong: what the records inside them are (`signal`), tables of market
data (`tables`).
"""

import polars as pl

from eth_pipeline.contracts.table import INSTANT, Column, TableContract

SIGNALS = TableContract(
    name="signals",
    row_is="one hourly decision of one symbol in one phase",
    key=("symbol", "phase", "decision_time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("phase", pl.String, "text", "`paper` or `live`."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour the signal is for."),
        Column("available_at", INSTANT, "instant, UTC", "When it was emitted."),
        Column("state", pl.String, "text", "`tradeable`, `degraded` or `blocked`."),
        Column("action", pl.String, "text", "`LONG`, `SHORT` or `HOLD`."),
        Column("allow_open", pl.Boolean, "flag", "An executor may open."),
        Column("position_share", pl.Float64, "share of equity", "Size when acting."),
        Column("gating_reason", pl.String, "text", "All reasons in one line; empty when tradeable."),
        Column("model_version", pl.String, "text", "Registry version of the bundle that forecast.", nullable=True),
        Column("ml_available", pl.Boolean, "flag", "A verified model answered."),
        Column("consensus_strength", pl.Float64, "0-100", "Strength of the consensus."),
        Column("run_id", pl.String, "text", "Dagster run."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
        Column("record", pl.String, "JSON", "The whole record, see `SignalRecord.flat`."),
    ),
    newest_by="decision_time",
)

CONSENSUS = TableContract(
    name="consensus",
    row_is="the multi-timeframe consensus of one symbol at one full hour",
    key=("symbol", "decision_time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour."),
        Column("available_at", INSTANT, "instant, UTC", "Close of the newest bar it used."),
        Column("strength", pl.Float64, "0-100", "Strength of the consensus."),
        Column("direction", pl.String, "text", "`LONG`, `SHORT` or `HOLD`."),
        Column("coverage", pl.Float64, "share", "Weight of the timeframes available over all weight."),
        Column("snapshot", pl.String, "JSON", "The whole `ConsensusSnapshot`; replaying it gives the same decision."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    newest_by="decision_time",
)

FORECASTS = TableContract(
    name="forecasts",
    row_is="the forecast of one algorithm of one verified bundle for one horizon of one symbol at one full hour",
    key=("symbol", "decision_time", "horizon_hours", "algorithm", "role"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour."),
        Column("available_at", INSTANT, "instant, UTC", "When its newest input was known."),
        Column("horizon_hours", pl.Int64, "hours", "Forecast horizon."),
        Column("algorithm", pl.String, "text", "Who forecasts: an algorithm of the bundle, or `stacking`."),
        Column("role", pl.String, "text", "`production`, or `shadow`: a candidate beside it, which never counts."),
        Column("acting", pl.Boolean, "flag", "This row decides; the others are recorded beside it."),
        Column("probability_up", pl.Float64, "probability", "Calibrated probability that the return is positive."),
        Column(
            "raw_probability",
            pl.Float64,
            "probability",
            "What the ONNX model said before calibration; of the algorithm that acts, or would act in a shadow.",
            nullable=True,
        ),
        Column("quantiles", pl.String, "JSON", "Level to log return; where `raw_probability` is.", nullable=True),
        Column("regime", pl.String, "JSON", "Market state to probability; likewise.", nullable=True),
        Column("coverage", pl.Float64, "share", "Share of non-missing inputs."),
        Column("out_of_bounds_share", pl.Float64, "share", "Share of inputs outside their training bounds."),
        Column("model_version", pl.String, "text", "Registry version."),
        Column("fingerprint", pl.String, "sha256", "Fingerprint of the bundle that answered."),
        Column("inference", pl.String, "text", "Who ran it: `remote`, the inference service, or `local`, this host."),
        Column("fallback_reason", pl.String, "text", "Why the service, where asked, did not answer.", nullable=True),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    newest_by="decision_time",
)

TRANSITIONS = TableContract(
    name="transitions",
    row_is="one change of a signal's state, as it was announced; never rewritten",
    key=("symbol", "phase", "decision_time", "step"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("phase", pl.String, "text", "`paper` or `live`."),
        Column("decision_time", INSTANT, "instant, UTC", "The hour whose record changed the state."),
        Column("step", pl.Int32, "count", "0 for the first change within the hour; later ones come by re-evaluation."),
        Column("available_at", INSTANT, "instant, UTC", "When that record was emitted."),
        Column("from_state", pl.String, "text", "State announced before; null for the first record.", nullable=True),
        Column("to_state", pl.String, "text", "State of the record."),
        Column("reasons", pl.String, "text", "Distinct reason codes, comma separated; empty when tradeable."),
        Column("detail", pl.String, "text", "`gating_reason` of the record."),
        Column("alertable", pl.Boolean, "flag", "Raises the alert `state_change` once."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    newest_by="decision_time",
)
