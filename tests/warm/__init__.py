"""Commands as processes of their own, without the seconds that each would spend importing the same libraries.

A server imports torch, diffusers and this package once and forks for each command (`server.py`). The two programs that
`warm_programs` makes, `python` and `dina-lrm`, are run like any other; they hand words, working directory, environment
and streams over to a fork and end as it ends, signals included (`client.py`). A test that is about how a process starts
runs the interpreter itself.
"""
