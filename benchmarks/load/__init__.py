"""Load on a real server: its process, questions with the scores that are right, clients, and bytes on the wire."""
