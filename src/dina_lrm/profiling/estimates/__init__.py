"""What a job will take, said before it begins: what is loaded, peak memory, disk and time, beside what is free.

| noun | place |
|---|---|
| what is free here: memory of this machine, of the device, on the disk | `room.py` |
| an estimate, its sentences, and what does not fit | `estimate.py` |
| what a generator weighs, and what a picture and a prompt take in it | `generator.py` |
| how long so many FLOPs take here | `rate.py` |
| the jobs | `reading.py`: prepare, score, evaluate, serve; `learning.py`: train, align |

Nothing is loaded for it. Every number is "at least": what is not counted is said.
"""
