"""Pickles that are never unpickled: plain values come back equal, and anything that could run is refused."""

import io
import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dina_lrm.serving.items import ItemScore, ModelScores
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols import pickled

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 100), 1 << 100)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner, inner, inner)
    ),
    max_leaves=12,
)


class Runs:
    """Whoever unpickles this calls a function."""

    def __init__(self, call):
        self._call = call

    def __reduce__(self):
        return self._call, ("x",)


@given(PLAIN, st.sampled_from([3, 4, 5]))
def test_plain_values_come_back_equal(value, protocol):
    body = pickle.dumps(value, protocol)
    try:
        found = pickled.read_pickle(body)
    except Problem as problem:
        assert "deeper" in problem.message
    else:
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        Runs(print),
        Runs(eval),
        np.zeros(3),
        np.float64(1),
        {1, 2},
        frozenset([1]),
        bytearray(b"a"),
        1 + 2j,
        print,
        object,
    ],
)
def test_whatever_could_run_is_refused(value, protocol):
    with pytest.raises(Problem) as refused:
        pickled.read_pickle(pickle.dumps({"images": [value]}, protocol))
    assert (refused.value.status, refused.value.code) == (400, "bad_pickle")


@pytest.mark.parametrize("protocol", range(3))
def test_old_protocols_are_refused(protocol):
    with pytest.raises(Problem, match="accepted"):
        pickled.read_pickle(pickle.dumps("text", protocol))


def test_every_other_opcode_is_refused():
    """Of all opcodes of pickle only those that make plain values are known."""
    known = {name for body in _plain_bodies() for name in _opcodes(body)}
    for opcode in pickletools.opcodes:
        if opcode.name in known or opcode.name in pickled._PUT | pickled._GET | {"LONG1", "APPEND", "SETITEM"}:
            continue
        with pytest.raises(Exception):  # noqa: B017 - a Problem, or an empty stack before it
            pickled._Reader()._step(opcode.name, 0)


def _plain_bodies():
    values = [None, True, False, 1, 300, 70000, -1, 1 << 40, 1.5, "a", "a" * 300, b"a", b"a" * 300]
    value = {"a": values, "b": [], "c": {}, "d": (), "e": (1,), "f": (1, 2), "g": (1, 2, 3), "h": (1, 2, 3, 4)}
    return [pickle.dumps(value, protocol) for protocol in (3, 4, 5)]


def _opcodes(body):
    return {opcode.name for opcode, _, _ in pickletools.genops(body)}


def test_a_value_that_stands_often_is_looked_at_once_and_one_within_itself_is_refused():
    nested = ["a"]
    for _ in range(7):
        nested = [nested] * 1000
    found = pickled.read_pickle(pickle.dumps(nested, 4))  # to compare it whole would take for ever
    assert len(found) == 1000
    assert found[0] is found[999]
    circle = []
    circle.append(circle)
    with pytest.raises(Problem, match="within themselves"):
        pickled.read_pickle(pickle.dumps(circle, 4))
    with pytest.raises(Problem, match="deeper"):
        pickled.read_pickle(pickle.dumps([[[[[[[[[1]]]]]]]]], 4))


def test_keys_that_all_have_one_hash_cannot_be_sent():
    circle = (1 << 61) - 1
    assert hash(circle) == hash(2 * circle)
    with pytest.raises(Problem, match="a key that is no text"):
        pickled.read_pickle(pickle.dumps({circle: None, 2 * circle: None}, 4))


@pytest.mark.parametrize("opcodes", [b"\x85", b"N\x86", b"NN\x87"])
def test_a_tuple_of_more_values_than_there_are_is_refused(opcodes):
    with pytest.raises(Problem, match="than there are"):
        pickled.read_pickle(b"\x80\x04" + opcodes + b".")


@given(st.binary(max_size=40), st.integers(0, 60), st.integers(0, 255))
def test_broken_bytes_never_fail_otherwise(tail, place, value):
    body = bytearray(pickle.dumps({"images": [b"abc"], "prompts": ["a"], "metadata": {}}, 4) + tail)
    body[min(place, len(body) - 1)] = value
    try:
        pickled.read_pickle(bytes(body))
    except Problem as problem:
        assert problem.status in (400, 413)


def picture():
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "JPEG")
    return data.getvalue()


def test_a_request_and_its_answers():
    asked = pickled.read_request(
        pickle.dumps({"images": [picture()] * 2, "prompts": ["a", "b"], "metadata": {}}), Limits(), "dina"
    )
    assert [item.prompt for item in asked.items] == ["a", "b"]
    scores = pickle.loads(pickled.answer(ModelScores("dina", (ItemScore(0.5), ItemScore(-1.0)))))
    assert scores == {"scores": [0.5, -1.0]}
    body = pickled.error_body(Problem(400, "bad_image", "cannot decode\nimage 0"))
    assert pickle.loads(body) == {"error": "bad_image: cannot decode\nimage 0"}
    assert not _opcodes(body) & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ"}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"images": []},
        {"images": ["a"], "prompts": ["a"]},
        {"images": [b"a"], "prompts": [b"a"]},
        {"images": [b"a"], "prompts": []},
        {"images": [b"a"], "prompts": ["a"]},
        {"images": [picture()], "prompts": [" "]},
        {"images": [], "prompts": []},
    ],
)
def test_other_requests_are_refused(value):
    with pytest.raises(Problem) as refused:
        pickled.read_request(pickle.dumps(value), Limits(), "dina")
    assert refused.value.status == 400
