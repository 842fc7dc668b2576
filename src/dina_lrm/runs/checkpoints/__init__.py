"""What a run has reached, on disk.

| part | place |
|---|---|
| a checkpoint: written, read, verified, deleted | `stored.py` |
| its groups of tensors, in a file or in one for each process | `groups.py` |
| which stay | `kept.py` |
| written while the run goes on, by one process or by all together | `writer.py` |
"""
