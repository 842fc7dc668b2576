"""What `python -m benchmarks fuzz` is made of: good inputs, what is done to them, and how an outcome is judged."""
