"""Learning from samples that were drawn and filtered once: `settings`, `craft`; which are kept: `composite_filter`; how
much each counts: `weighted_matching`.
"""
