"""Flow-GRPO (arXiv 2505.05470), -Fast and what was made of it since; the clipped surrogate is `../policy_loss.py`.

| what | files |
|---|---|
| the algorithm, and what a run of it is | `flow_grpo`, `settings` |
| which steps are stochastic and trained | `windows` |
| step rewards: gains of scores on the way (DenseGRPO) | `credit`, `readings`, `level_scales`, `step_gains` |
| steps weighted by their noise (TempFlow) | `noise_weights` |
| a mask by divergence in place of the clip (FlowDPPO) | `divergence_loss` |
| a KL for images whose reward nobody shares, diverse advantages (GARDO) | `gated_kl`, `kl_gate`, `diverse` |
| a KL to a reference that follows in leaps (GARDO) | `moving_reference` |
"""
