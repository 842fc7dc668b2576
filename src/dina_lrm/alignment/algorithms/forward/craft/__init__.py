"""Learning from samples that were drawn and filtered once: which are kept, and how much each counts."""
