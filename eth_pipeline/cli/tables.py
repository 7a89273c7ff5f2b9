"""Terminal tables of the things people ask for: a signal, a decision, an evaluation, a lineage, the health.

Belongs here: layout on a terminal. Does not belong: what the figures are, the words in two languages
(`contracts.wording`).
"""

from collections.abc import Iterable
from functools import partial

from rich.markup import escape
from rich.table import Table

from eth_pipeline.cli.console import STATE_STYLE
from eth_pipeline.cli.words import headed, terminal
from eth_pipeline.contracts.artifact import GateResult, PromotionDecision
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.wording import coded, said
from eth_pipeline.contracts.wording.lineage import fact_name, step_name
from eth_pipeline.models.figures.report import Estimate, EvaluationReport
from eth_pipeline.operations.host_health import Check
from eth_pipeline.operations.lineage import LineageStep
from eth_pipeline.operations.processes import ProcessStatus
from eth_pipeline.settings import Language

_GATE_COLUMNS = ("gate", "verdict", "value", "threshold", "needed for")


def signal_table(record: SignalRecord, *, language: Language = "en") -> Table:
    """One hour, field by field."""
    words, value = terminal(language), partial(said, language=language)
    table = headed(
        "Signal {symbol} {hour} ({phase})",
        *("field", "value"),
        language=language,
        symbol=record.symbol,
        hour=iso(record.decision_time),
        phase=record.phase,
    )
    style = STATE_STYLE[record.state]
    table.add_row(words("state"), f"[{style}]{value(record.state)}[/]")
    size = f"{record.position_share:.1%}"
    table.add_row(words("action"), words("{action}, size {size} of equity", action=value(record.action), size=size))
    may = (value(_yes(record.allow_open)), value(_yes(record.allow_close)))
    table.add_row(words("may open / close"), " / ".join(may))
    reasons = [f"{coded(r.code, language)}: {escape(value(r.detail))}" for r in record.reasons]
    table.add_row(words("reasons"), "\n".join(reasons) or value("none"))
    table.add_row(words("model version"), record.model_version or value("none"))
    table.add_row(words("forecast, P(up)"), _forecast(record, language))
    table.add_row(words("consensus"), _consensus(record, language))
    table.add_row(words("freshness"), _freshness(record, language))
    table.add_row(words("mark price"), f"{record.mark_price:,.2f} USDT" if record.mark_price else value("none"))
    table.add_row(words("provenance"), value(record.provenance))
    table.add_row(words("run / commit"), f"{record.run_id[:8]} / {record.code_commit[:12]}")
    return table


def signals_table(records: list[SignalRecord], *, language: Language = "en") -> Table:
    """One line per hour."""
    value = partial(said, language=language)
    columns = ("hour", "state", "action", "size", "strength", "P(up) 5 h", "model", "reasons")
    table = headed("Signals", *columns, language=language)
    for record in records:
        probability = record.ml.ml_prob_up_5h
        table.add_row(
            iso(record.decision_time),
            f"[{STATE_STYLE[record.state]}]{value(record.state)}[/]",
            value(record.action),
            f"{record.position_share:.1%}",
            f"{record.consensus_strength:.0f}",
            "–" if probability is None else f"{probability:.3f}",
            record.model_version or value("none"),
            ", ".join(f"{value(r.code)} ({r.subject})" for r in record.reasons) or "–",
        )
    return table


def decision_table(decision: PromotionDecision, *, language: Language = "en") -> Table:
    """Every gate of a decision, and what it comes to."""
    value = partial(said, language=language)
    verdict = f"[bold green]{value('promoted')}[/]" if decision.promoted else f"[bold yellow]{value('refused')}[/]"
    table = headed(
        "Promotion decision for {phase}: {verdict}",
        *_GATE_COLUMNS,
        language=language,
        caption=escape(value(decision.summary)),
        phase=value(decision.phase),
        verdict=verdict,
    )
    for gate in decision.gates:
        table.add_row(*_gate(gate, decision, language=language))
    return table


def gates_table(decision: PromotionDecision, *, language: Language = "en") -> Table:
    """Every gate of a decision with its reason."""
    table = headed("Gates", *_GATE_COLUMNS, "reason", language=language)
    for gate in decision.gates:
        table.add_row(*_gate(gate, decision, language=language), escape(said(gate.reason, language)))
    return table


def evaluation_table(report: EvaluationReport, *, language: Language = "en") -> Table:
    """Out-of-sample direction AUC with its interval beside the baselines."""
    words = terminal(language)
    table = headed(
        "Out of sample, {hours} hours, {folds} folds, purged walk-forward",
        *("horizon", "sign AUC [95 %]", "volatility only", "constant", "decile spread, bps", "net bps per trade"),
        language=language,
        caption=escape(said(report.verdict, language)),
        hours=f"{report.oof_rows:,}",
        folds=report.folds,
    )
    for horizon in report.horizons:
        table.add_row(
            f"{horizon.horizon_hours} h",
            _estimate(horizon.auc, 4),
            _estimate(horizon.auc_volatility, 4),
            "0.5",
            _estimate(horizon.decile_spread_bps, 1),
            words("{net} in {trades} trades", net=_estimate(horizon.net_bps_per_trade, 1), trades=horizon.trades),
        )
    return table


def _estimate(estimate: Estimate, digits: int) -> str:
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _forecast(record: SignalRecord, language: Language) -> str:
    ml = record.ml
    if not ml.ml_available:
        return terminal(language)("none: {why}", why=escape(said(ml.ml_reason, language)))
    pairs = ((5, ml.ml_prob_up_5h), (12, ml.ml_prob_up_12h), (24, ml.ml_prob_up_24h))
    return ", ".join(f"{hours} h {p:.3f}" for hours, p in pairs if p is not None)


def _consensus(record: SignalRecord, language: Language) -> str:
    return terminal(language)(
        "{direction}, strength {strength} of 100, coverage {coverage}",
        direction=said(record.consensus_direction, language),
        strength=f"{record.consensus_strength:.0f}",
        coverage=f"{record.consensus_coverage:.0%}",
    )


def _freshness(record: SignalRecord, language: Language) -> str:
    words, count = terminal(language), len(record.freshness)
    stale = [f"{f.stream} {f.symbol}" for f in record.freshness if not f.fresh]
    line = words("{fresh} of {count} streams fresh", fresh=count - len(stale), count=count)
    return line + (words("; stale: {names}", names=", ".join(stale)) if stale else "")


def _gate(gate: GateResult, decision: PromotionDecision, *, language: Language) -> tuple[str, ...]:
    words, needed = terminal(language), decision.phase in gate.required_for
    style = "green" if gate.passed else ("bold red" if needed else "yellow")
    verdict = f"[{style}]{words('pass' if gate.passed else ('FAIL' if needed else 'fail'))}[/]"
    phases = ", ".join(said(phase, language) for phase in gate.required_for)
    return coded(gate.name, language), verdict, _figure(gate.value), _figure(gate.threshold), phases


def _figure(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else ("–" if value is None else str(value))


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def lineage_table(record: SignalRecord, steps: tuple[LineageStep, ...], *, language: Language = "en") -> Table:
    """What is behind one signal, from the signal down to the code."""
    columns, hour = ("step", "what identifies it"), iso(record.decision_time)
    table = headed("Lineage of {hour}", *columns, language=language, show_lines=True, hour=hour)
    for step in steps:
        shown = ((name, _yes(value) if isinstance(value, bool) else str(value)) for name, value in step.facts.items())
        facts = [f"{fact_name(name, language)} {said(value, language)}" for name, value in shown]
        table.add_row(step_name(step.name, language), escape("\n".join(facts)))
    return table


def checks_table(checks: Iterable[Check], *, title: str = "Health", language: Language = "en") -> Table:
    """Every check with its verdict; a warning is a no that refuses nothing."""
    words, value = terminal(language), partial(said, language=language)
    table = headed(title, "check", "verdict", "detail", language=language)
    for check in checks:
        name, style = ("ok", "green") if check.passed else (("FAIL", "red") if check.required else ("warn", "yellow"))
        table.add_row(value(check.name), f"[{style}]{words(name)}[/]", escape(value(check.detail)))
    return table


def process_table(processes: Iterable[ProcessStatus], *, language: Language = "en") -> Table:
    """State, start and commit of every process, and what has changed since it started."""
    value = partial(said, language=language)
    columns = ("process", "state", "since", "pid", "commit", "against what lies here")
    table = headed("Processes", *columns, language=language)
    for process in processes:
        commit = (process.commit or "")[:12] + ("-dirty" if process.dirty else "")
        since = iso(process.started_at) if process.started_at else ""
        pid, statement = str(process.pid or ""), escape(value(process.statement))
        table.add_row(process.name, value(process.state), since, pid, commit, statement)
    return table
