"""Many models on the synthetic world: the paper's tables in miniature, each cell with its seeds and interval."""
