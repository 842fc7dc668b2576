"""Where a long work of many tasks is done: here, or by workers that Ray starts on this machine or on many.

| noun | place |
|---|---|
| what is asked of Ray, without Ray | `settings.py` |
| a Ray of its own, or one that is there | `ray_session.py` |
| workers: what stands in each, and how tasks are dealt out | `worker.py`, `ray_pool.py` |
"""
