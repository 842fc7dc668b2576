"""JSON bodies: read strictly, counted before they are made, and told by place."""

import asyncio
import gzip
import json
import time

import pytest

from dina_lrm.serving.http.bodies import Intake, read_bytes
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols import latents_v2
from dina_lrm.serving.protocols.bodies import checked_prompt, read_body
from dina_lrm.serving.protocols.images import ImagesBody


def refused(body, limits=None):
    with pytest.raises(Problem) as found:
        read_body(ImagesBody, body, limits or Limits())
    return found.value


def test_a_body_is_read():
    found = read_body(ImagesBody, b'\xef\xbb\xbf{"prompts": ["a"], "images": [{"b64": "AAAA"}]}', Limits())
    assert (found.prompts, found.images[0].b64) == (["a"], "AAAA")


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 1_000_000 + b"[]]",
        b'{"prompts": [' + b"1," * 1_000_000 + b"1]}",
        b"{" + b",".join(b'"k%d":1' % number for number in range(300_000)) + b"}",
    ],
)
def test_more_values_than_anybody_needs_are_never_made(body):
    begun = time.perf_counter()
    assert (refused(body).status, refused(body).code) == (413, "too_large")
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"prompts": ["a", 3]}, "prompts.1"),
        ({"prompts": "a"}, "prompts"),
        ({"prompts": ["a"], "other": 1}, "other"),
        ({"prompts": ["a"], "levels": [10**400]}, "levels.0"),
        ({"prompts": ["a"] * 9_000, "seeds": ["x" * 100_000]}, "seeds.0"),
        ([], "all of it"),
    ],
)
def test_errors_name_the_place_and_stay_short(value, place):
    problem = refused(json.dumps(value).encode())
    assert (problem.status, problem.code) == (400, "bad_request")
    assert f"the body, {place}: " in problem.message
    assert len(problem.message) < 500


@pytest.mark.parametrize(("prompt", "status"), [("", 400), (" \n", 400), ("\ud800", 400), ("a" * 20_000, 413)])
def test_prompts_that_cannot_be_scored(prompt, status):
    with pytest.raises(Problem) as found:
        checked_prompt(prompt, "prompts[0]", Limits())
    assert found.value.status == status


@pytest.mark.parametrize(
    ("texts", "status"), [(["a"] * 257, 413), ([""], 400), (["a" * 20_000], 413), ([3], 400), ("a", 400)]
)
def test_texts_of_protocol_2_are_checked_as_prompts_are(texts, status):
    with pytest.raises(Problem) as found:
        latents_v2._read_header(json.dumps({"texts": texts}), Limits())
    assert found.value.status == status


async def chunks(*given):
    for each in given:
        yield each


def taken(intake, *given, encoding=""):
    async def take():
        with intake.taking() as more:
            return await read_bytes(chunks(*given), encoding, None, Limits(), more)

    return asyncio.run(take())


def test_bodies_that_are_read_at_once_have_room_for_so_many_bytes_in_all():
    intake = Intake(10)
    assert taken(intake, b"a" * 8, b"b" * 8) == b"a" * 8 + b"b" * 8  # alone it may be larger
    with intake.taking() as more:
        more(7)
        assert taken(intake, b"abc") == b"abc"
        with pytest.raises(Problem) as refused:
            taken(intake, b"ab", b"cd")
        assert (refused.value.status, refused.value.code, refused.value.retry_after) == (429, "too_much_waits", 1)
        with pytest.raises(Problem):
            taken(intake, gzip.compress(b"abcd"), encoding="gzip")
        assert intake.bytes == 7
    assert intake.bytes == 0
