"""Objectives that need clean latents and their rewards only: no log-probability of a step, no stochastic sampler."""
