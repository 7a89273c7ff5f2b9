"""One deliberate bug.

Belongs here: what it is made of. Does not belong: the list (`data_and_model`, `decision_and_operations`).
"""

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Bug:
    """A change of one place that somebody could have made.

    Attributes:
        name: what goes wrong, in words; unique.
        file: below the package's folder.
        old: text that stands there exactly once.
        new: what stands there instead.
        tests: what must notice, below the folder of tests: files, or `file::test`.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def path(self, repository: Path) -> Path:
        """The file in a copy."""
        return repository / "eth_pipeline" / self.file

    def found(self, repository: Path = REPOSITORY) -> int:
        """How often the old text stands in the file."""
        return self.path(repository).read_text(encoding="utf-8").count(self.old)

    def changed(self, text: str) -> str:
        """The file's text with the bug."""
        return text.replace(self.old, self.new)
