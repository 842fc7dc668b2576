"""Alignment by pairs of people: comparisons that were made before, of whichever pictures, and pictures judged alone.

| concept | file |
|---|---|
| where pairs are, and how they are encoded; pictures that were judged alone | `source`, `judged` |
| which of them are learned from, in which order, and what is left out | `learned`, `left_out` |
| what the reward does with them, where it does anything | `by_reward` |
| noise levels; errors of the model and of its reference | `levels`, `errors` |
| the losses | `losses` |
| an update; what is looked at beside the pictures | `algorithm`, `watch` |
"""
