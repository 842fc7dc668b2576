"""Generators: what is sampled from and tuned.

| noun | place |
|---|---|
| generator: velocity, guidance, noise, pictures, its LoRA | `generator.py`; by name: `load.py`, `settings.py` |
| schedule: the noise levels of a scheduler of diffusers | `schedule.py`, `schedulers.py`, `sampler_states.py` |
| kernel: one denoising step as a distribution of the next state | `kernels.py`, table `KERNELS` |
| samples of prompts and seeds, kept block by block | `samples.py` |
| generators distilled to few steps, or with their guidance | `distilled.py` |
"""
