import copy

import pytest

from tests.backbones.families import FAMILY_CASES, PROMPTS


@pytest.fixture(scope="session", params=FAMILY_CASES, ids=lambda case: case.name)
def case(request):
    """Each family in turn."""
    return request.param


@pytest.fixture(scope="session")
def folder(case, tmp_path_factory):
    """The family's pipeline on disk; do not write into it."""
    return case.save(tmp_path_factory.mktemp(case.name) / "generator")


@pytest.fixture(scope="session")
def conditioning(case):
    """Three encoded prompts."""
    return case.shared(case.pipeline()).encode_prompts(PROMPTS)


@pytest.fixture
def pipeline(case):
    """A fresh pipeline of the family."""
    return case.pipeline()


@pytest.fixture
def shared(case, pipeline):
    """A backbone that reads `pipeline`."""
    return case.shared(pipeline)


@pytest.fixture(scope="session")
def loaded(case, folder):
    """What `standalone` is a copy of; it is not changed."""
    return case.standalone(folder)


@pytest.fixture
def standalone(loaded):
    """A backbone with weights of its own, as it is when it was loaded."""
    return copy.deepcopy(loaded)


@pytest.fixture(params=["standalone", "shared"])
def backbone(request, case, loaded):
    """Both modes."""
    return copy.deepcopy(loaded) if request.param == "standalone" else case.shared(case.pipeline())
