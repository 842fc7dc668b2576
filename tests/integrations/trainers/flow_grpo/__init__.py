"""flow_grpo, as far as a reward sees it."""
