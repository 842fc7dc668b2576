"""What a reward model costs, as tables and as a plot."""
