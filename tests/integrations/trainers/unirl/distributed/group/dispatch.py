"""What marks a method that runs on every worker with its part of the samples."""

from enum import Enum
from functools import wraps


class Dispatch(Enum):
    DP_SCATTER = "scatter"
    BROADCAST = "broadcast"


def distributed(*, dispatch_mode):
    def marked(function):
        @wraps(function)
        def wrapper(*given, **named):
            return function(*given, **named)

        wrapper.dispatched = dispatch_mode
        return wrapper

    return marked
