import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.grpo.windows import EveryStep, FirstSteps, RandomWindow, SlidingWindow

WINDOWS = st.one_of(
    st.just(EveryStep()),
    st.builds(FirstSteps, st.integers(1, 3)),
    st.builds(RandomWindow, st.integers(1, 3), st.floats(0.5, 1)),
    st.builds(SlidingWindow, st.integers(1, 3), st.integers(1, 5)),
)


@given(window=WINDOWS, total=st.integers(8, 50), iteration=st.integers(0, 1000), seed=st.integers(0, 100))
def test_a_window_lies_before_the_last_step_and_is_a_function_of_its_arguments(window, total, iteration, seed):
    steps = window.steps(total, iteration, seed)
    assert len(steps) >= 1 and 0 <= steps.start and steps.stop <= total - 1
    assert window.steps(total, iteration, seed) == steps


def test_each_window_is_where_it_says():
    assert EveryStep().steps(10, 3) == range(9)
    assert FirstSteps(3).steps(10, 3) == range(3)
    assert {RandomWindow(2, 0.5).steps(10, i).start for i in range(200)} == {0, 1, 2, 3}
    assert max(RandomWindow(27, 0.29).steps(100, i).stop for i in range(50)) == 29
    assert [SlidingWindow(2, 3).steps(6, i).start for i in range(15)] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [0] * 3


@pytest.mark.parametrize("window", [FirstSteps(8), FirstSteps(0), RandomWindow(5, 0.5), SlidingWindow(8), EveryStep()])
def test_a_window_outside_of_the_schedule_is_refused(window):
    with pytest.raises(ValueError, match="window"):
        window.steps(8 if not isinstance(window, EveryStep) else 1, 0)
