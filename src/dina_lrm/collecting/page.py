"""The page on which a person votes: it asks the server for the pair, and tells it the choice."""

from __future__ import annotations

from dina_lrm import __version__
from dina_lrm.reports.pages import template_environment
from dina_lrm.reports.theme import DARK, LIGHT, css_variables


def vote_page(title: str, token: str, nonce: str) -> str:
    """The page as text; `token` goes with every request that changes something, `nonce` marks its script and style."""
    template = template_environment().get_template("vote.html.jinja")
    colours = {"light": css_variables(LIGHT), "dark": css_variables(DARK)}
    return template.render(title=title, token=token, nonce=nonce, version=__version__, **colours)
