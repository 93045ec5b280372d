"""Time limits that know the machine.

They are for hangs.  Each is written for an idle machine with two CPUs of 2026, and multiplied by
factor(): how much longer a fixed piece of work takes here and now, be it that the CPU is slower or
that others use it, too.
"""
import time

# What work() takes there, in seconds.
REFERENCE = 0.045
# For how long a factor holds: a machine may become busy at any time.
HOLDS = 5

_measured = None
_factor = 1.0


def work():
    n = 1
    for _ in range(400_000):
        n = n * 69069 % 4294967291


def factor():
    """How many times slower than there everything is just now; at least 1."""
    global _measured, _factor
    if _measured is None or time.monotonic() - _measured > HOLDS:
        begin = time.monotonic()
        work()
        _measured = time.monotonic()
        _factor = max(1.0, (_measured - begin) / REFERENCE)
    return _factor


def limit(seconds):
    """That many seconds, here and now."""
    return seconds * factor()


class Deadline:
    """A time limit that follows the machine's pace while it runs."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.begin = time.monotonic()

    def left(self):
        """Seconds left, 0 or less once it is over."""
        return self.begin + limit(self.seconds) - time.monotonic()

    def over(self):
        return self.left() <= 0


def wait_until(condition, seconds=30, every=0.05, told=lambda: ""):
    """The first true result of condition(); an AssertionError with what told() says if there is none."""
    deadline = Deadline(seconds)
    while not (result := condition()):
        assert not deadline.over(), told() or f"this did not come true in {seconds} s: {condition}"
        time.sleep(every)
    return result
