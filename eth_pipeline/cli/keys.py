"""`keys`: the pair that signs bundles and the public keys that are trusted.

Belongs here: arguments and output. Does not belong: making keys (`registry.bundles.keys`).
"""

from pathlib import Path
from typing import Annotated

import typer

from eth_pipeline.cli.console import out, print_json, refuse_on_error
from eth_pipeline.settings import load_settings

app = typer.Typer(help="Keys that sign bundles: made offline, pinned in the settings.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("init")
def init() -> None:
    """Make the signing pair of this home, and print what other hosts have to pin."""
    with refuse_on_error():
        from eth_pipeline.registry.bundles.keys import init_keys

        settings = load_settings()
        made = init_keys(private_key=settings.private_key_path, public_key=settings.public_key_paths[0])
    out.print(f"Signing key {made.key_id[:12]} is made. Keep {made.private_key} on this host only.", soft_wrap=True)
    out.print("Copy the public key to every host that loads bundles, and pin it there:")
    _print_setting("signing_public_keys", (made.public_key,))


@app.command("rotate")
def rotate() -> None:
    """Make the next signing pair; nothing uses it until the settings name it, and the old key stays trusted."""
    with refuse_on_error():
        from eth_pipeline.registry.bundles.keys import rotate_keys

        settings = load_settings()
        made = rotate_keys(private_key=settings.private_key_path)
    out.print(f"Signing key {made.key_id[:12]} is made, and not in use yet.")
    out.print("First pin both keys on every host that loads bundles:")
    _print_setting("signing_public_keys", (*settings.public_key_paths, made.public_key))
    out.print("then let the host that promotes sign with the new one:")
    out.print(f"  ETH_PIPELINE_SIGNING_PRIVATE_KEY={made.private_key}", soft_wrap=True, markup=False, highlight=False)
    out.print("Take the old public key out when no bundle you may return to carries its signature.")


@app.command("show")
def show(as_json: AsJson = False) -> None:
    """Show the trusted keys and the one that signs here; exit 1 when a promotion here would be refused."""
    with refuse_on_error():
        from eth_pipeline.registry.bundles.keys import examine_keys
        from eth_pipeline.registry.bundles.signing import key_id

        settings = load_settings()
        peers = {str(path): key_id(path) for path in settings.peer_public_keys}
        found = examine_keys(private_key=settings.private_key_path, public_keys=settings.public_key_paths)
    if as_json:
        print_json(
            {
                "private_key": str(found.private_key),
                "signing_key_id": found.signing_key_id,
                "pinned": [
                    {"public_key": str(key.public_key), "key_id": key.key_id, "signs": key.signs}
                    for key in found.pinned
                ],
                "peers": [{"public_key": path, "key_id": identifier} for path, identifier in peers.items()],
                "problems": found.problems,
            }
        )
    else:
        for key in found.pinned:
            note = "  signs here" if key.signs else ""
            out.print(f"{(key.key_id or 'unreadable')[:12]}  {key.public_key}{note}", soft_wrap=True, highlight=False)
        for path, identifier in peers.items():
            out.print(f"{identifier[:12]}  {path}  other side of the air gap", soft_wrap=True, highlight=False)
        if found.signing_key_id is None:
            out.print(f"This host only verifies: there is no {found.private_key}.", soft_wrap=True)
        for sentence in found.problems:
            out.print(f"[red]{sentence}[/]", soft_wrap=True)
    raise typer.Exit(1 if found.problems else 0)


def _print_setting(name: str, paths: tuple[Path, ...]) -> None:
    listed = ", ".join(f'"{path}"' for path in paths)
    line = f"  ETH_PIPELINE_{name.upper()}='[{listed}]'"
    out.print(line, soft_wrap=True, markup=False, highlight=False)
