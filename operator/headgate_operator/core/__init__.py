"""The decisions of the operator: pure functions over frozen data. No I/O, no clock, no randomness.

import-linter holds it: nothing here may import an adapter, and the adapters may import everything here.
"""
