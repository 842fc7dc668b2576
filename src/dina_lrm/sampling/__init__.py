"""Sampling with a reward: what it chooses, cuts and guides, and what that spends.

| noun | place |
|---|---|
| objective: one reward or a weighted sum, on a generator's latents | `objective.py`, `reward_term.py` |
| best-of-N: plan and selection, cuts on the way | `selection.py`, `best_of_n.py`, `pruning.py` |
| scores on the way, by a pass of their own or the generator's | `step_scores.py`, `in_pass.py` |
| reward guidance, search of the noise | `guidance.py`, `noise_search.py` |
| all of it as one job, cuts as words | `job.py`, `cuts.py` |
| what sampling with a reward spends | `ledger.py` |
| a LoRA beside its base, and what it was optimised for | `tuned.py` |
| callbacks of a pipeline of diffusers: scores on the way, steering | `diffusers_hooks.py`, `diffusers_steering.py` |
| what a pipeline shows them | `pipeline_states.py` |
"""
