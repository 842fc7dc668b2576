"""Which pair to ask next: at random, the hardest, or the one whose answer is expected to tell most.

| noun | place |
|---|---|
| bits that a vote on a margin is expected to tell | `information.py` |
| what votes say of linear utilities, with its uncertainty | `posterior.py` |
| the ways of choosing, a batch at a time | `ways.py` |
| what a model reads of pictures | `reading.py` |
| directions in which a taste may differ from its score | `taste.py` |
| what was learnt, as a model's folder | `learnt_model.py` |
"""
