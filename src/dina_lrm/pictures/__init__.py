"""Pictures as they come: what may stand for one, which files are opened and within which bounds, and their colours."""
