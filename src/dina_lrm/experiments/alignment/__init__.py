"""The alignment study: generators of the synthetic world aligned in many ways, and what they were truly worth."""
