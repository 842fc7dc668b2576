"""One file for each format: bytes of a request to what is asked, and scores to bytes of an answer."""
