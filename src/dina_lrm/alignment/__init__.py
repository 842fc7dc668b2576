"""Aligning a generator with a reward, and watching whether the gain is real.

| noun | place |
|---|---|
| kernel: one denoising step as a distribution of the next state | `steps.py`, table `KERNELS` |
| window: which steps of a schedule are stochastic and trained | `windows.py` |
| advantages within the group of a prompt | `advantages.py` |
| losses of Flow-GRPO, ReFL and LPO | `policy_loss.py`, `refl_loss.py`, `lpo_loss.py` |
| generator and its LoRA, objective, ReFL, the run around it | `generator.py`, `objective.py`, `refl.py`, `trainer.py` |
| samples of prompts and seeds; a LoRA beside its base, and what it was optimised for | `samples.py`, `tuned.py` |
| the reward in a loop of one's own: callback of a pipeline, loss | `diffusers_hooks.py` |
| monitor: judges, golden reward, truth and measures of pictures; the alarm on trends | `monitor.py`, `alarm.py` |
"""
