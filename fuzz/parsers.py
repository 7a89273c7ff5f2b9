"""Coverage-guided fuzzing of one parser: bytes that reach new code are kept and changed further.

    python -m fuzz.parsers "zip" -max_total_time=240

Belongs here: driving `eth_pipeline_tests.parser_targets` with atheris, which `make setup` does not install
(`pip install atheris`; it has wheels for CPython 3.11 on Linux). The suite asks the same targets with hypothesis,
without coverage and in seconds; this is for a new parser, or for one that was changed. Arguments after the target's
name are libFuzzer's. Bytes that break a property are written to a `crash-` file; they belong into a test.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["eth_pipeline.exchange", "zipfile"]):
    from eth_pipeline_tests.parser_targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names."""
    by_name = {target.name: target for target in TARGETS}
    if len(sys.argv) < 2 or sys.argv[1] not in by_name:
        raise SystemExit(f"Name one of: {', '.join(by_name)}.")
    target = by_name[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], lambda content: bool(target.survives(content)) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
