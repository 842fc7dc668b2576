"""A reward over HTTP, in the formats that trainers already send.

Protocols know bytes and nothing of models; the batcher knows items and nothing of HTTP; the engine owns the models.

| noun | place |
|---|---|
| what a server is told, where it listens and who may ask, what bounds it | `settings.py`, `door.py`, `limits.py` |
| the job, from settings to the last answer | `job.py`, `load.py`, `server.py` |
| several processes behind one address | `ray_serve.py`, `peers.py` |
| the application: routes in groups, and the HTTP around them | `app.py`, `routes/`, `http/` |
| a format of requests and answers | a file of `protocols/`; what they read: `tensors.py`, `pictures.py` |
| what is asked and answered, item by item | `items.py`, `problems.py` |
| models behind names, and their batches | `engine.py`, `batcher.py`, `served.py`, `latent.py`, `reward.py` |
| prompts by their hash | `prompts.py` |
| counts and times | `metrics.py` |
"""
