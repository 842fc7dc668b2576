"""One file for each group of routes: a body by its protocol, scores by the engine, an answer by the protocol."""
