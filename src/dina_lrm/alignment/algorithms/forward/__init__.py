"""Alignment by the forward process: groups of samples are judged, noised again, and drawn nearer or pushed away.

Objectives need clean latents and their rewards only: no log-probability of a step, no stochastic sampler.

| concept | file |
|---|---|
| what a run is; the loop around every objective; the passes and gradients in it | `settings`, `loop`, `learner` |
| the copy of the LoRA that draws the samples | `old_policy` |
| clean samples with their rewards; what each is worth in its group | `samples`, `optimality` |
| the noise levels that they are learned from at; what the models predict there | `levels`, `passes` |
| what an objective is; which there are; what is told of an update | `objective`, `objectives`, `tally` |
| DiffusionNFT | `nft_settings`, `nft`, `nft_loss` |
| AWM | `awm_settings`, `awm`, `awm_loss`, `matching` |
| objectives that compare whole groups: CRD, DGPO | `grouped/` |
| learning from what was drawn and filtered once: CRAFT | `craft/` |
"""
