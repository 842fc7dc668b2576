"""On-policy distillation of a guided sampler: `settings`, `loss` (with the weights of steps), `distill` (an update)."""
