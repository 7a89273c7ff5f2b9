"""docs/reason_codes.md, generated: cause and cure of every reason code, and the phase policy.

Belongs here: the sentences and their rendering; a test holds the file to it. Does not belong: the policy itself
(`policy`).
"""

from types import MappingProxyType
from typing import NamedTuple, get_args

from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.settings import Phase
from eth_pipeline.signals.policy import CLEAN_HOURS, judge


class Explanation(NamedTuple):
    """Why a reason appears, and what an operator does about it."""

    cause: str
    cure: str


EXPLANATIONS: MappingProxyType[ReasonCode, Explanation] = MappingProxyType(
    {
        ReasonCode.STREAM_STALE: Explanation(
            "A stream with policy `block` has no row as new as its `max_lag_hours` asks, counted on data time.",
            "Look at the ingestion run of that stream and at its breaker; the next good ingestion clears it.",
        ),
        ReasonCode.STREAM_ABSENT: Explanation(
            "A stream with policy `block` has no row at all, or its lag was not measured.",
            "Backfill the stream; check `symbol` and `base_interval` against what was ingested.",
        ),
        ReasonCode.SOURCE_DEGRADED: Explanation(
            "A stream with policy `degrade` is stale or absent: the signal lacks one source.",
            "As for a stale stream; where the source does not exist (replay), nothing: the signal stays degraded.",
        ),
        ReasonCode.EXCHANGE_UNREACHABLE: Explanation(
            "The exchange did not answer in this run, so time and tail could not be checked; stored rows are fresh.",
            "Check network, region (451/403) and ban (418) in the health report; time cures the rest.",
        ),
        ReasonCode.ARCHIVE_ONLY: Explanation(
            "The REST API refuses this address (451 or 403); rows come from the public archive, a day late at best.",
            "Run from a permitted location. Retrying cannot help; the archive keeps history and training going.",
        ),
        ReasonCode.DATA_GAP: Explanation(
            "The gap ledger has an absent, refused or doubted row of the main klines or mark klines inside "
            "`freshness.gap_window_hours`: what was computed over that window may be wrong.",
            "Read the entries of the gap ledger. A row that comes is repaired by the next ingestion; otherwise time "
            "moves it out of the window.",
        ),
        ReasonCode.FEATURES_MISSING: Explanation(
            "There is no feature row for exactly this hour: a step between data and features did not run.",
            "Materialize the features of the hour and read why their run failed.",
        ),
        ReasonCode.COVERAGE_LOW: Explanation(
            "Fewer of the hour's feature values are present than `gates.min_coverage_core` asks.",
            "Find the stream behind the missing family in the freshness of the record; repair its gap.",
        ),
        ReasonCode.CONSENSUS_THIN: Explanation(
            "Closed bars exist for less weight than `signals.min_consensus_coverage`; the base strategy holds.",
            "Backfill 81 days of klines (24h bars need them) and repair gaps in the newest bars.",
        ),
        ReasonCode.ML_UNAVAILABLE: Explanation(
            "A bundle is there and gave no forecast that can be believed: an error, an extreme probability, inputs far "
            "outside its training range, or quantiles that cross or are absurdly wide or narrow.",
            "Read `ml_error` and `ml_reason` in the record; roll back if it persists.",
        ),
        ReasonCode.BUNDLE_ABSENT: Explanation(
            "No production bundle lies on this host: none was promoted yet, or the alias was never materialized.",
            "Train and promote, then materialize the production artifact.",
        ),
        ReasonCode.BUNDLE_REFUSED: Explanation(
            "The production bundle failed verification: signature, hashes, schema, decision or phase.",
            "Do not repair files by hand. Fetch it from the registry again or roll back; find out who wrote there.",
        ),
        ReasonCode.BUNDLE_EXPIRED: Explanation(
            "The production bundle is past its expiry.",
            "Train and promote a new one; `gates.bundle_valid_days` says how long the next lives.",
        ),
        ReasonCode.HOUR_MISSED: Explanation(
            "Nothing decided this hour before it was over: host, daemon or schedule stood still.",
            "Check that the daemon runs and the schedule is on; the record itself is final.",
        ),
        ReasonCode.RUN_FAILED: Explanation(
            "The hour's run failed before it could decide.",
            "Read the failed step in the run of the record; run the hour again while it lasts.",
        ),
        ReasonCode.KILL_SWITCH: Explanation(
            "An operator stopped trading.",
            "Release the kill switch when the cause is gone.",
        ),
        ReasonCode.RISK_LIMIT: Explanation(
            "The account met a limit on its daily loss, weekly loss or drawdown (the subject); opening is forbidden.",
            "Daily and weekly limits lift by themselves; after a drawdown, review and set `account.drawdown_since`.",
        ),
        ReasonCode.REGISTRY_DOUBTED: Explanation(
            "The registry did not answer, or a rollback made without it is not carried out there yet; the bundle in "
            "use was verified on this host.",
            "Bring MLflow back; the alias sensor reconciles by itself, `eth-pipeline alias --check-only` says when.",
        ),
        ReasonCode.RECOVERING: Explanation(
            "A reason that comes and goes (its code is the subject) ended, and not enough clean hours have passed.",
            "Nothing; the hours pass. If it keeps returning, cure the reason it names.",
        ),
    }
)


def render_reason_codes() -> str:
    """The whole of docs/reason_codes.md."""
    lines = [
        "# Reason codes",
        "",
        "Generated by `eth_pipeline.signals.reason_docs`; a test holds this file to it. Write it again with",
        "`python -m eth_pipeline.signals.reason_docs > docs/reason_codes.md`.",
        "",
        "A signal carries every reason that was found; the worst state among them counts. `blocked` forbids opening",
        "and never closing. Live is fail-closed: what degrades paper blocks live.",
        "",
        "## Cause and cure",
        "",
        "| code | cause | cure |",
        "|---|---|---|",
        *[f"| `{code}` | {EXPLANATIONS[code].cause} | {EXPLANATIONS[code].cure} |" for code in ReasonCode],
        "",
        "## Policy",
        "",
        "What one reason alone makes of an hour. A state gets worse at once; where the last column is above 1, the",
        "hours until the n-th one without the reason carry `recovering`.",
        "",
        "| code | paper | may open | may close | live | may open | may close | tradeable in clean hour |",
        "|---|---|---|---|---|---|---|---|",
        *[_policy_row(code) for code in ReasonCode],
    ]
    return "\n".join(lines) + "\n"


def _policy_row(code: ReasonCode) -> str:
    cells = [f"`{code}`"]
    for phase in get_args(Phase):
        verdict = judge((Reason(code=code, subject="", detail=""),), phase=phase)
        cells += [str(verdict.state), _yes(verdict.allow_open), _yes(verdict.allow_close)]
    return "| " + " | ".join([*cells, str(CLEAN_HOURS.get(code, 1))]) + " |"


def _yes(allowed: bool) -> str:
    return "yes" if allowed else "no"


if __name__ == "__main__":
    import sys

    sys.stdout.write(render_reason_codes())
