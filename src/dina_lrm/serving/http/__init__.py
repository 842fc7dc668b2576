"""HTTP without models.

| noun | place |
|---|---|
| connections, and what is no HTTP | `wire.py`, `listening.py`, `running.py` |
| who may ask | `guard.py`, `browsers.py`; people in a browser, by a token that they type: `signing_in.py` |
| bodies in bounded time and size, unpacked | `bodies.py`, `packing.py` |
| answers to what is refused | `refusals.py`, `answering.py` |
| counts of answers, clients that left | `watching.py` |
| what the documents of the routes show | `examples.py` |
"""
