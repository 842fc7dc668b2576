"""What watches a run of alignment.

| noun | place |
|---|---|
| looks: samples of the same prompts and seeds over time | `looks.py`, `settings.py` |
| judges, golden reward, truth and measures of pictures at a look | `monitor.py`, `records.py` |
| the alarm: trends of the golden reward against the objective | `alarm.py`, `trend.py`, `pace.py` |
"""
