"""Flow-GRPO (arXiv 2505.05470), -Fast and what was made of it since; the clipped surrogate is `../policy_loss.py`.

| what | files |
|---|---|
| the algorithm, and what a run of it is | `flow_grpo`, `settings` |
| which steps are stochastic and trained | `windows` |
"""
