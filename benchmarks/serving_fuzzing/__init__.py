"""Requests that no honest client sends, by kind, and the law that a server's answers keep."""
