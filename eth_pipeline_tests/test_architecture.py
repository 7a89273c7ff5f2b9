"""The shape of the package: light imports, one-way layers, one page of definitions."""

import subprocess
import sys

HEAVY = ("torch", "mlflow", "lightgbm", "sklearn", "matplotlib", "onnxruntime", "pandas", "model_signing")


def imported_by(statement: str) -> set[str]:
    """Top-level packages that are loaded after `statement` in a fresh interpreter."""
    script = f"import sys; {statement}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_loading_the_definitions_loads_nothing_heavy() -> None:
    """With torch, mlflow and lightgbm at module level every worker starts 5 s later and needs 350 MB more."""
    assert not imported_by("import eth_pipeline.definitions") & set(HEAVY)


def test_the_command_line_answers_without_loading_dagster() -> None:
    assert not imported_by("import eth_pipeline.cli") & {*HEAVY, "dagster"}


def test_imports_go_one_way_only() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0
