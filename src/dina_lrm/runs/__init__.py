"""What a run is made of, whatever it computes, and what everything that is kept on disk shares.

| part of a run | place |
|---|---|
| folder: whether a run may begin or go on there | `folder.py`, `settings.py`, `lock.py` |
| what learns | `learning.py`, `moving_average.py` |
| its checkpoints | `checkpoints/` |
| numbers while it goes on | `numbers.py`: `metrics.py`, `trackers.py` |
| a clean stop | `stopping.py` |
| several processes | `processes.py`; that hold the weights together: `sharding.py` |

Files are whole or not there (`files.py`), belong to somebody (`ownership.py`), are known by their content
(`content.py`) and are read strictly (`json_files.py`, `tensor_files.py`).
"""
