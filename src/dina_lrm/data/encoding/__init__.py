"""From comparisons to a cache: pictures and prompts go through the encoders of a generator, once each."""
