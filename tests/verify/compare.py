"""What is compared, and the proof that the comparison can fail.

A comparison is a function of two sets of numbers that returns a list of what differs.  After it
held it is done again with errors planted in a copy of our numbers, one by one, and has to find
each of them.
"""
import dataclasses


@dataclasses.dataclass
class Verdict:
    machine: str
    what: str
    # What does not hold, in words; empty if all does.
    problems: list
    # What was compared, in words.
    compared: str
    # How many errors were planted, and how many of them were found.
    planted: int = 0
    caught: int = 0

    @property
    def holds(self):
        return not self.problems and self.planted == self.caught and self.planted > 0


def differences(ours, theirs):
    """Two dicts of counts that should be the same; what is 0 may be missing."""
    return [f"{name}: ours {ours.get(name, 0)}, theirs {theirs.get(name, 0)}"
            for name in sorted(ours.keys() | theirs.keys(), key=str)
            if ours.get(name, 0) != theirs.get(name, 0)]


def off_by_one(counts):
    """Copies of the counts with one error each."""
    for name in counts:
        for error in 1, -1:
            yield {**counts, name: counts[name] + error}
    yield {**counts, "PLANTED": 1}
    # The same sum, under the wrong reasons.
    names = sorted(counts, key=str)
    for one, other in zip(names, names[1:]):
        if counts[one] != counts[other]:
            yield {**counts, one: counts[other], other: counts[one]}


def judge(machine, what, compared, check, ours, errors):
    """check(ours) lists problems; it has to find each of the errors, which are copies of ours."""
    verdict = Verdict(machine, what, check(ours), compared)
    for wrong in errors:
        verdict.planted += 1
        verdict.caught += bool(check(wrong))
    return verdict


def equal(machine, what, compared, ours, theirs):
    """A verdict on counts that must be the same."""
    return judge(machine, what, compared, lambda numbers: differences(numbers, theirs), ours,
                 off_by_one(ours))
