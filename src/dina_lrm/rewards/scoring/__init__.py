"""Tables of scores of image files: what is scored, with which prompts, in which batches, and how it is kept.

| noun | place |
|---|---|
| pictures and prompts that are found, and the rows they make | `pictures.py`, `prompts.py`, `rows.py` |
| scoring them, from files to a table | `files.py`, `loading.py`, `ahead.py`, `batches.py` |
| rows that were scored before | `known.py`, `log.py` |
| tables as CSV, JSONL or Parquet | `formats.py` |
"""
