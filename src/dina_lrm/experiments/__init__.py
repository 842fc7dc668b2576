"""Studies on the synthetic world: many variants, each cell with its seed, and a page with intervals from the cells.

`cells`, `pool`, `run`, `estimates` and `page` are what all kinds of study share; `ablations` trains reward models,
`alignment` aligns generators, `sampling_curve` draws best-of-N.
"""
