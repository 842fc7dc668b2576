"""Parts of a run's settings: `levels` as text, what is said of named `scores`. Nothing here imports torch."""
