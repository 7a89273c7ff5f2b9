"""Tests, one file per module; names are sentences."""
