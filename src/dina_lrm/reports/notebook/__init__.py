"""What a notebook shows of results: pictures with their scores (`strip.py`), the curves of a run (`run.py`)."""
