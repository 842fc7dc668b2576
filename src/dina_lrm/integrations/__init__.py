"""Rewards inside other trainers: one small file each, which translates what the trainer hands over and asks a scorer.

| noun | place |
|---|---|
| the trainers, a row each; what `dina-lrm integrate` shows and writes | `table.py`, `shown.py` |
| what plug-ins share: a model once a process, batches from threads and loops | `scorer.py`, `gathered.py` |
| tensors, pictures and words of trainers, as what a model is asked | `given.py`, `worded.py` |
| a reward on a server | `remote.py` |
| the trainer's own generator, whose weights a reward shares | `policy.py` |
| trainers | `verl_omni.py`, ... |

No trainer is imported here: a plug-in that needs a class of its trainer takes it from there when it is first used.
"""
