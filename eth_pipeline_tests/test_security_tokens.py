"""Secrets are compared in constant time: what a comparison takes must not tell how far a guess was right."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "eth_pipeline"
DOORS = ("board/web/door.py", "board/web/login.py", "serving/door.py")
SECRETS = ("token", "digest", "seal", "cookie", "secret")


def early_answers(source: str) -> list[str]:
    """Comparisons of secrets by ==, != or `in`, which end at the first difference, as `line: text`.

    Against a constant none is meant: `scheme == "bearer"` and `token is None` tell nothing about a secret.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not any(
            isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops
        ):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue
        names = " ".join(
            name.id if isinstance(name, ast.Name) else name.attr
            for name in ast.walk(node)
            if isinstance(name, ast.Name | ast.Attribute)
        ).lower()
        if any(secret in names for secret in SECRETS):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("line", ["_digest(token) == self._digest", "seal != self._seal(end)", "token in self._tokens"])
def test_a_comparison_that_ends_early_is_found(line: str) -> None:
    assert early_answers(line) == [f"1: {line}"]


@pytest.mark.parametrize("line", ["token is None", "scheme == 'bearer'", "hmac.compare_digest(token, self._digest)"])
def test_a_comparison_that_tells_nothing_is_none(line: str) -> None:
    assert early_answers(line) == []


@pytest.mark.parametrize("door", DOORS)
def test_no_door_compares_a_secret_so_that_the_time_tells_how_far_a_guess_was_right(door: str) -> None:
    assert early_answers((PACKAGE / door).read_text(encoding="utf-8")) == []


def test_every_file_that_compares_secrets_is_one_of_the_doors() -> None:
    comparing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "compare_digest(" in path.read_text(encoding="utf-8")
    }
    assert comparing <= set(DOORS)
    assert comparing
