"""Aligning a generator with a reward, and watching whether the gain is real.

| noun | place |
|---|---|
| what runs of all algorithms share, as plain values | `config.py` |
| the run: updates, looks, checkpoints, resumption | `trainer.py`, `run_folder.py`, `contents.py` |
| one objective a file, its settings and its loss beside it | `algorithms/` |
| judges, golden reward, measures of pictures, alarms | `monitor/` |
"""
