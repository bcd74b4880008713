"""Server-side apply: who owns which field, and what merging an applied configuration into a live object gives.

The rules are those of structured-merge-diff, which a real API server uses: the operator's correctness rests on
conflicts, on fields that vanish when their only applier drops them, and on list items that merge by key.
"""
