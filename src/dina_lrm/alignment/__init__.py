"""Aligning a generator with a reward or sampling with one, and watching whether the gain is real.

| noun | place |
|---|---|
| kernel: one denoising step as a distribution of the next state | `steps.py`, table `KERNELS` |
| window: which steps of a schedule are stochastic and trained | `windows.py` |
| advantages within the group of a prompt | `advantages.py` |
| losses of Flow-GRPO, ReFL and LPO | `policy_loss.py`, `refl_loss.py`, `lpo_loss.py` |
| generator and its LoRA, objective, ReFL, the run around it | `generator.py`, `objective.py`, `refl.py`, `trainer.py` |
| best-of-N: plan and selection, cuts on the way | `selection.py`, `best_of_n.py`, `pruning.py` |
| scores on the way, by a pass of their own or the generator's | `step_scores.py`, `in_pass.py` |
| reward guidance, search of the noise | `guidance.py`, `noise_search.py` |
| what sampling with a reward spends | `evaluations.py` |
| samples of prompts and seeds; a LoRA beside its base, and what it was optimised for | `samples.py`, `tuned.py` |
| the reward in a loop of one's own: callback of a pipeline, loss | `diffusers_hooks.py` |
| monitor: judges, golden reward, truth and measures of pictures; the alarm on trends | `monitor.py`, `alarm.py` |
"""
