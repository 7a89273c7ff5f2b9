"""Known and seen: manifest, signal log, health."""
