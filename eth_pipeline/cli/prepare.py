"""`eth-pipeline prepare`: a home ready for service units.

Belongs here: creating what several processes would otherwise create at once. Does not belong: starting them (`up`,
the units below deploy/systemd).
"""

from eth_pipeline.cli.console import out, refuse_on_error
from eth_pipeline.settings import load_settings


def prepare() -> None:
    """Create the home, the Dagster instance with its storage, and the folders of logs and registry.

    Doing it again changes nothing. Dagster finds its instance in <home>/dagster, which DAGSTER_HOME must name.
    """
    with refuse_on_error():
        from eth_pipeline.defs.instance import open_instance

        settings = load_settings()
        for folder in (settings.home / "logs", settings.home / "mlflow"):
            folder.mkdir(parents=True, exist_ok=True)
        open_instance(settings).dispose()
        out.print(f"{settings.home} is ready; DAGSTER_HOME is {settings.dagster_home}.", soft_wrap=True)
