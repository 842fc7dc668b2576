"""What a signal does to a block, and that later ones act as ever."""

import os
import signal

import pytest

from dina_lrm.runs.stopping import Stopped, stopped_by_signals


def test_a_signal_ends_the_block_and_later_ones_act_as_ever():
    with pytest.raises(Stopped), stopped_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
