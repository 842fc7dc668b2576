"""Where the pairs come from that people are asked about: one file a kind of source, one row of a table each.

| noun | place |
|---|---|
| two pictures that may be asked about; a stream of them, with what was left out | `candidate.py` |
| every two pictures of one prompt, each picture as often as the others | `rounds.py` |
| a folder or a table of pictures, by prompt | `pictures.py` |
| two folders of the same names, mine against yours | `two_folders.py` |
| a file of comparisons | `comparison_file.py` |
| the looks of an alignment run | `run_looks.py` |
| a generator that draws as people vote | `drawn.py` |
| the kinds by name, and which one a place is | `kinds.py` |
"""
