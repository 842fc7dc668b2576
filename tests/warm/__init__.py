"""Commands as processes of their own, without the seconds that each would spend importing the same libraries.

A server imports torch, diffusers and this package once and forks for each command (`server.py`). The two programs that
`warm_programs` makes, `python` and `dina-lrm`, are run like any other; they hand words, working directory, environment
and streams over to a fork and end as it ends, signals included (`client.py`). A fork does what a process does at its
end, but does not take apart what it has imported, and its writes do not wait for the disk. A test that is about how a
process starts runs the interpreter itself.
"""
