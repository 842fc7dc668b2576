"""How a long work is told while it goes on: one line, alike in training, aligning, scoring and all the rest.

| noun | place |
|---|---|
| the line, drawn anew in a terminal and printed now and then in a log | `line.py` |
| its numbers as words: a rate, a time | `words.py` |
"""
