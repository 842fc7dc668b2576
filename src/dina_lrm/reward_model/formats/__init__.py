"""Folders of reward models: ours, the one released with the DiNa-LRM paper (`paper`), the one of LRM (`lrm`)."""
