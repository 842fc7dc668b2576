"""Rewards inside other trainers: one small file each, which translates what the trainer hands over and asks a scorer.

| noun | place |
|---|---|
| the trainers, a row each; what `dina-lrm integrate` shows and writes | `table.py`, `shown.py` |
| what plug-ins share: a model once a process, batches from threads and loops | `scorer.py`, `gathered.py` |
| tensors and pictures of trainers, as what a model is asked; a reward on a server | `given.py`, `remote.py` |
| trainers | `verl_omni.py`, ... |

No trainer is imported here: a plug-in that needs a class of its trainer takes it from there when it is first used.
"""
