"""How far people agree with each other and with themselves, and what that says of how well a model can do.

| noun | place |
|---|---|
| Krippendorff's alpha from coincidences, with an interval over prompts | `alpha.py` |
| one person: against the others, against themselves, which side they lean to | `annotators.py` |
| all of it for a store, as a table and as plain values | `report.py` |
"""
