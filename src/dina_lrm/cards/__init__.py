"""Cards: the README.md of what is published, with the metadata that the Hugging Face Hub reads in front of it.

| what every card is made of | place |
|---|---|
| metadata, tables, code, and the part that measurements are written into | `text.py` |
| names of generators, and what is known of their licences | `bases.py` |
| measurements as a table for people and as the hub's own block for programs | `measured.py` |

What a card says of a reward model, an aligned LoRA or a data set stands with these.
"""
