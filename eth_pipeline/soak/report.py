"""The report of a soak: JSON for machines, Markdown with plots for people.

Belongs here: figures and pictures of a diary. Does not belong: judging (`invariants`). What the seed decides and what
this machine took are kept apart: the digest covers the first part only, so two soaks of one seed can be compared.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.clock import iso
from eth_pipeline.registry.atomic import replace_text
from eth_pipeline.soak.diary import Diary, Lived
from eth_pipeline.soak.invariants import INVARIANTS
from eth_pipeline.soak.schedule import Hour, counts

STATES = ("tradeable", "degraded", "blocked", "")
_COLOURS = {"tradeable": "#2e7d32", "degraded": "#f9a825", "blocked": "#c62828", "": "#9e9e9e"}
_SLOWEST = 5


def soak_report(diary: Diary, *, schedule: Sequence[Hour], seed: int, days: float) -> dict[str, Any]:
    """Everything as JSON types: `decided` is the seed's, `machine` is this machine's."""
    decided = {
        "seed": seed,
        "days": days,
        "first": iso(diary.first),
        "troubles": dict(counts(schedule)),
        "hours": [_decided(lived) for lived in diary.hours],
        "violations": [asdict(violation) for violation in diary.violations],
    }
    seconds = sorted(lived.seconds for lived in diary.hours)
    used = [asdict(sample) for sample in diary.samples]
    return {
        "passed": not diary.violations,
        "digest": hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest(),
        "decided": decided,
        "machine": {
            "seconds": sum(seconds),
            "seconds_p50": seconds[len(seconds) // 2] if seconds else 0.0,
            "samples": used,
            "hours": [
                {"number": lived.number, "seconds": lived.seconds, "requests": lived.requests, "says": lived.says}
                for lived in diary.hours
            ],
        },
    }


def write_report(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write soak.json, soak.png and soak.md to `folder`; returns the last."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / "soak.json", json.dumps(report, indent=2) + "\n")
    (folder / "soak.png").write_bytes(_drawn(report))
    page = folder / "soak.md"
    replace_text(page, _text(report))
    return page


def _decided(lived: Lived) -> dict[str, Any]:
    names = ("number", "decision_time", "troubles", "state", "action", "reasons", "outcome")
    return {name: getattr(lived, name) for name in names}


def _text(report: Mapping[str, Any]) -> str:
    decided, machine = report["decided"], report["machine"]
    states = Counter(hour["state"] or "no record" for hour in decided["hours"])
    outcomes = Counter(outcome for hour in decided["hours"] for outcome in hour["outcome"])
    reasons = Counter(reason for hour in decided["hours"] for reason in hour["reasons"])
    broken = Counter(violation["invariant"] for violation in decided["violations"])
    lines = [
        f"# Soak of {decided['days']:g} days, seed {decided['seed']}: {'passed' if report['passed'] else 'FAILED'}",
        "",
        f"{len(decided['hours'])} hours lived since {decided['first']}, {machine['seconds']:.0f} s of real time, "
        f"{machine['seconds_p50']:.2f} s the median hour. Digest of what was decided: `{report['digest'][:16]}`.",
        "",
        "![hours, memory and disk](soak.png)",
        "",
        *_table(("invariant", "says", "violations"), [(name, says, broken[name]) for name, says in INVARIANTS.items()]),
        *_table(("state", "hours"), states.most_common()),
        *_table(("run", "times"), outcomes.most_common()),
        *_table(("reason", "hours"), reasons.most_common()),
        *_table(("trouble", "times"), sorted(decided["troubles"].items())),
    ]
    if decided["violations"]:
        rows = [(v["invariant"], v["hour"], v["detail"]) for v in decided["violations"]]
        lines += ["## Violations", "", *_table(("invariant", "found at", "what"), rows)]
    slowest = sorted(machine["hours"], key=lambda hour: -hour["seconds"])[:_SLOWEST]
    lines += [
        "## Slowest hours",
        "",
        *_table(("hour", "seconds"), [(h["number"], f"{h['seconds']:.1f}") for h in slowest]),
    ]
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    body = [f"| {' | '.join(str(cell).replace('|', '/').replace(chr(10), ' ') for cell in row)} |" for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body, ""]


def _drawn(report: Mapping[str, Any]) -> bytes:
    """States and troubles by hour, real seconds, memory and disk; a PNG."""
    from matplotlib.figure import Figure

    hours, machine = report["decided"]["hours"], report["machine"]
    figure = Figure(figsize=(12, 9), layout="constrained")
    top, middle, memory, disk = figure.subplots(4, 1, sharex=True)
    for state in STATES:
        at = [hour["number"] for hour in hours if hour["state"] == state]
        if at:
            top.bar(at, [1] * len(at), width=1.0, color=_COLOURS[state], label=state or "no record")
    top.plot([h["number"] for h in hours], [len(h["troubles"]) for h in hours], color="black", lw=0.8, label="troubles")
    top.set_ylabel("state, troubles")
    top.legend(loc="upper right", ncols=5, fontsize="small")
    middle.plot([h["number"] for h in machine["hours"]], [h["seconds"] for h in machine["hours"]], lw=0.8)
    middle.set_ylabel("seconds")
    samples = machine["samples"]
    memory.plot([s["number"] for s in samples], [s["memory_megabytes"] for s in samples], lw=0.8)
    memory.set_ylabel("worker, MB")
    sized = [s for s in samples if s["disk_megabytes"] is not None]
    disk.plot([s["number"] for s in sized], [s["disk_megabytes"] for s in sized], marker=".", lw=0.8)
    disk.set_ylabel("home, MB")
    disk.set_xlabel("hour of the soak")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()
