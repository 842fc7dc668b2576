"""Names as a reader sees them."""


def title_of(name: str) -> str:
    """A set's or measure's name as a reader sees it: `unseen_defects` -> `Unseen defects`."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
