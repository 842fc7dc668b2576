"""The reward model: forward process, backbone and head together, how it reads what it is given, and how it is stored.

| noun | place |
|---|---|
| the model and its scores | `model.py`; scores of several noise levels: `level_scores.py` |
| what it is made of, as plain values; making it from them | `config.py`, `assembly.py` |
| pictures and prompts in batches, and what is said of them | `inputs.py`; arguments that are refused: `checks.py` |
| what is said of it: plain values, two lines, HTML; the card stored with it | `describing.py`; `card.py` |
| prompts kept from one batch to the next | `kept_prompts.py` |
| latents of another generator | `other_latents.py` |
| folders that it is read from and written to | `formats/` |
"""
