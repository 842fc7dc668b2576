"""Ways of a reward's gradient into the generator: through how much of the sampler it goes (`--refl.through`).

| way | files |
|---|---|
| `one`: one step, and the clean estimate behind it (ReFL) | `one` |
| `drtune`: several steps, the input of each held fixed, one step in memory at a time | `drtune` |
| `draft`: the last steps of the sampler with their whole graph (DRaFT-K) | `draft` |
| `prfl`: one step, and the reward of the noisy state behind it | `prfl` |

`way` is what they share, `ways` their table, `pretraining` the loss on clean samples beside them.
"""
