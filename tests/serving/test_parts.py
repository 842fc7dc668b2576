"""Multipart bodies: parts come back as they were sent, and what is no multipart is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols.parts import is_multipart, read_parts

KIND = "multipart/form-data; boundary=b"
END = b"--b--\r\n"


def part(name, data, more=""):
    return f'--b\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


@given(st.binary(), st.lists(st.binary(), max_size=3))
def test_parts_come_back_as_they_were_sent(request, images):
    body = b"".join([part("request", request), *(part("image", each, '; filename="a"') for each in images), END])
    if any(b"--b" in each for each in (request, *images)):
        return
    assert read_parts(body, KIND, Limits()) == (request, images)


GOOD = part("request", b"{}") + part("image", b"a")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (GOOD + END, "multipart/form-data", 400),
        (GOOD + END, "multipart/form-data; boundary=", 400),
        (GOOD + END, "multipart/form-data; boundary=" + "b" * 71, 400),
        (GOOD + END, "multipart/form-data; boundary=c", 400),
        (GOOD + END, "multipart/form-data; boundary=\u20ac", 400),
        (GOOD, KIND, 400),
        (b"", KIND, 400),
        (part("image", b"a") + END, KIND, 400),
        (part("request", b"{}") * 2 + END, KIND, 400),
        (GOOD + part("other", b"") + END, KIND, 400),
        (b"--b\r\na: b\r\n\r\na\r\n" + END, KIND, 400),
        (b"--b\r\ncontent-disposition: form-data\r\n\r\na\r\n" + END, KIND, 400),
        (part("request", b" " * 5_000_000) + END, KIND, 413),
        (part("request", b"{}") + part("image", b"") * 9 + END, KIND, 413),
        (b"--b\r\na: " + b"b" * 9_000 + b"\r\n\r\na\r\n" + END, KIND, 413),
        (b"\r\n" * 1000, KIND, 400),
    ],
)
def test_what_is_none_is_refused(body, kind, status):
    with pytest.raises(Problem) as refused:
        read_parts(body, kind, Limits(batch=4))
    assert refused.value.status in (status, 400)  # a new parser bounds headers itself


def test_a_part_is_known_by_its_kind():
    assert is_multipart(" Multipart/Form-Data; boundary=b")
    assert not is_multipart("application/json")


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
def test_broken_bytes_never_fail_otherwise(tail, place, value):
    body = bytearray(GOOD + END + tail)
    body[min(place, len(body) - 1)] = value
    try:
        read_parts(bytes(body), KIND, Limits())
    except Problem as problem:
        assert problem.status in (400, 413)
