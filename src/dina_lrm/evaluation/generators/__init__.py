"""A tuned generator against its base, on the same prompts and seeds."""
