"""What is said of a process against what lies here now.

Belongs here: the words in both languages, and reading a line of several processes. Does not belong: the comparison
(`operations.processes`), the states (`board`).
"""

import re
from collections.abc import Callable

from eth_pipeline.contracts.wording.phrase import Phrase

RUNS_WHAT_LIES_HERE = Phrase("runs what lies here", "与本机现状一致")
ENDED = Phrase("no longer runs", "已不再运行")
CODE_CHANGED = Phrase("its code was changed since it started: restart it", "启动后代码有改动，请重启")
OTHER_COMMIT = Phrase(
    "runs commit {running:s}, here lies {here:s}: restart it",
    "运行的是提交 {running}，本机现为 {here}，请重启",
)
OTHER_CONFIGURATION = Phrase(
    "runs configuration {running:s}, this one is {here:s}", "运行的是配置 {running}，当前为 {here}"
)
OLDER_THAN_BUNDLE = Phrase(
    "is older than the bundle in use ({name}), which every hour loads anew",
    "启动早于正在使用的模型包（{name}），每小时会重新加载",
)
OLDER_THAN_PROMOTION = Phrase(
    "is older than the bundle in use ({name}, promoted {time}), which every hour loads anew",
    "启动早于正在使用的模型包（{name}，晋升于 {time}），每小时会重新加载",
)
ELSEWHERE = Phrase("started on the host {host:s}: ask there", "在主机 {host} 上启动，请到那里查看")
UNREADABLE = Phrase(
    "its note cannot be read ({error:s}): starting it again writes a new one",
    "它的记录读不出（{error}），重新启动会写新的",
)
NO_NOTE = Phrase(
    "No start was noted here. Start processes by units, `eth-pipeline up` or `eth-pipeline start`.",
    "本机没有启动记录。请用服务单元、`eth-pipeline up` 或 `eth-pipeline start` 启动进程。",
)
ALL_CURRENT = Phrase("{names:s} run what lies here", "{names} 与本机现状一致")

_NAMED = re.compile(r"(?:(?P<name>[a-z0-9-]+): )?(?P<statement>.+)")


def in_line(line: str, said: Callable[[str], str]) -> str:
    """A line of statements, separated by semicolons, some after `name: `; a line with anything else in it stays.

    Args:
        line: as `operations.processes` writes it of one process, and the health check of several.
        said: how a statement is said.
    """
    shown = []
    for part in line.split("; "):
        found = _NAMED.fullmatch(part)
        if found is None or found["statement"] == line:
            return line  # nothing to take apart
        if (statement := said(found["statement"])) == found["statement"]:
            return line
        shown.append(f"{found['name']}：{statement}" if found["name"] else statement)
    return "；".join(shown)
