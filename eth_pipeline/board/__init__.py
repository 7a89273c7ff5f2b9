"""The board: read-only pages and a JSON API about what this host signals, and how it got there."""
