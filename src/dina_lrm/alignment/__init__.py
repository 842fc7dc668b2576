"""Aligning a generator with a reward.

| noun | place |
|---|---|
| kernel: one denoising step as a distribution of the next state | `steps.py`, table `KERNELS` |
| window: which steps of a schedule are stochastic and trained | `windows.py` |
| advantages within the group of a prompt | `advantages.py` |
| losses of Flow-GRPO, ReFL and LPO | `policy_loss.py`, `refl_loss.py`, `lpo_loss.py` |
"""
