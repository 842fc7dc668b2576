"""Algorithms of alignment. Each has what a run of it is (`*_settings`), its loss (`*_loss`), and one update.

| algorithm | files |
|---|---|
| ReFL | `refl`, `refl_settings`, `refl_loss`, `clean_samples`; the loss in a loop of one's own: `reward_loss` |
| ReFL through more of the sampler: DRTune, DRaFT-K, PRFL | `through/` |
| Flow-GRPO and -Fast | `grpo/`, `policy_loss`, `advantages`, `rollout` |
| LPO, Step-GRPO | `lpo`, `lpo_settings`, `lpo_loss`, `step_groups` |
| NFT, AWM, by the forward process | `forward/` |
| on-policy distillation of a guided sampler | `distill/` |
| offline DPO | `dpo`, `dpo_settings`, `dpo_loss`; on pairs that are given: `alignment/pairs/` |
"""
