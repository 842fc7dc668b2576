"""Why this score, as plain functions.

| noun | place |
|---|---|
| a picture and a prompt as a model reads them | `given.py` |
| the score, beside that of a reference picture | `score.py` |
| the score over noise levels and draws | `levels.py` |
| where on the picture it lies | `maps.py`, `overlay.py` |
| what each word does | `edits.py`, `words.py` |
| all of it | `explanation.py`, and its page in `shown.py` |
"""
