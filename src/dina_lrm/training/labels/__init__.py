"""What comparisons say before they are learned from: of teachers, and as groups."""
