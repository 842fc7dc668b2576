import gc

from dina_lrm.runs.imports import collector_at_rest


def test_the_collector_rests_inside_and_works_again_whatever_happens():
    with collector_at_rest():
        assert not gc.isenabled()
        with collector_at_rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    try:
        with collector_at_rest():
            raise KeyError
    except KeyError:
        assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with collector_at_rest():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
