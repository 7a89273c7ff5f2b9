"""What must hold in every hour, whatever fails: one function per invariant, each answering with what broke it.

Belongs here: judging what an hour left behind, from the stored rows and the market itself. Does not belong: driving
hours (`hours`), when which is asked (`examination`), the market's rows (`truth`). No function asks the gate or the
freshness code whether it was right: they are what is on trial.
"""

from eth_pipeline.soak.invariants.bounds import Sample, bounded
from eth_pipeline.soak.invariants.budget import requests_within_budget
from eth_pipeline.soak.invariants.events import no_event_lost
from eth_pipeline.soak.invariants.inputs import lake_is_true, tradeable_on_good_input
from eth_pipeline.soak.invariants.ledger import ledger_balances, read_ledger
from eth_pipeline.soak.invariants.records import one_record_per_hour, read_records, well_again

__all__ = [
    "INVARIANTS",
    "Sample",
    "bounded",
    "lake_is_true",
    "ledger_balances",
    "no_event_lost",
    "one_record_per_hour",
    "read_ledger",
    "read_records",
    "requests_within_budget",
    "tradeable_on_good_input",
    "well_again",
]

INVARIANTS = {
    "one_record_per_hour": "every hour has exactly one record, however often it was decided or died",
    "tradeable_on_good_input": "no tradeable hour on stale, gapped, untrue or unverified input",
    "lake_is_true": "healed, the lake holds the market's rows: none absent, none invented, none wrong",
    "ledger_balances": "the account's events follow each other and add up to its state",
    "no_event_lost": "every record has its line and its announced change, every hour its mark, every move its entry",
    "requests_within_budget": "weights and counts stay below the limits, and a refusal is obeyed",
    "well_again": "a calm hour is not blocked",
    "bounded": "memory, open files and disk stay within the plan's bounds",
}
