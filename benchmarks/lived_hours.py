"""Hours lived one by one through Dagster, against the same hours rebuilt at once.

    python benchmarks/lived_hours.py [hours=48]

An embedded exchange, four symbols, a home in a temporary folder; each hour is one run of the hourly job. Prints seconds
per hour, and whether every record and the account are the same. Exit 1 if one is not.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.figure import at_least, print_figure
from eth_pipeline_tests.lived_hours import account_differs, differing_hours, lived_home


def main(hours: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        started, busy = time.perf_counter(), time.process_time()
        with lived_home(Path(folder), hours=hours) as home:
            seconds, cpu = time.perf_counter() - started, time.process_time() - busy
            records = home.signals()
            print(f"lived {len(records)} hours in {seconds:.0f} s, {cpu:.0f} CPU s, the building of the home included")
            print("actions:", dict(Counter(str(record.action) for record in records)))
            different = differing_hours(home)
            print(f"identical records: {len(records) - len(different)} of {len(records)}")
            for hour in different:
                print(f"  differs: {hour}")
            account = account_differs(home)
            print(f"account: {'differs' if account else 'identical, event by event'}")
            print_figure("lived hours equal their rebuild", len(records) - len(different), "hours", at_least(hours))
            print_figure("an hour, the home's building included", seconds / hours, "s")
            return 1 if different or account or len(records) != hours else 0


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    sys.exit(main(int(given.get("hours", "48"))))
