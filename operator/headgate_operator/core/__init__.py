"""The decisions of the operator: pure functions over frozen data. No I/O, no clock, no randomness (import-linter holds it)."""
