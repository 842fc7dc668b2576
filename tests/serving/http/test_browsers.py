"""Requests of strange pages are told from those of programs and of our own pages."""

import pytest

from dina_lrm.serving.http.browsers import name_of_host, stranger


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("127.0.0.1:8000", None, ""),
        ("localhost", None, "none"),
        ("[::1]:8000", None, ""),
        ("LOCALHOST:1", None, ""),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", "same-origin"),
        ("127.0.0.1:8000", "https://127.0.0.1:8000", ""),
    ],
)
def test_programs_of_this_machine_and_our_own_pages_may_ask(host, origin, site):
    assert stranger(host, origin, site) is None


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("", None, ""),
        ("evil.example", None, ""),
        ("evil.example:8000", "http://evil.example:8000", "same-origin"),
        ("127.0.0.1.evil.example", None, ""),
        ("127.0.0.1:8000", "http://evil.example", ""),
        ("127.0.0.1:8000", "null", ""),
        ("127.0.0.1:8000", "http://127.0.0.1:3000", "same-site"),
        ("127.0.0.1:8000", None, "cross-site"),
        ("127.0.0.1:8000", None, "same-site"),
    ],
)
def test_strange_pages_may_not(host, origin, site):
    assert "accepted" in stranger(host, origin, site)


def test_a_host_is_known_without_its_port():
    assert [*map(name_of_host, ("a:1", "A", "[::1]:8", "[::1]"))] == ["a", "a", "::1", "::1"]
