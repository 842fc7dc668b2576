"""What is kept of an evaluation: its parts, to go on from, and its accuracies with the models they are of."""
