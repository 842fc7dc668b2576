"""Pages to look at scores: why a picture has one, and whether a generator is tuned to a reward's faults.

| noun | place |
|---|---|
| which model, judges and address | `settings.py` |
| why this score: a picture read, levels, maps, words | `why/` |
| am I being hacked: two sides by every judge at hand | `hacked/` |
| the most surprising pairs of a set; a run as it stands | `surprising.py`, `watching.py` |
| the pages in a browser, a file each | `pages/` |
| the server, which needs the extra `studio` | `job.py`, `server.py` |

What is computed needs no browser and no Gradio: `why/`, `hacked/` and the rest return plain values,
and sections as those of reports.
"""
