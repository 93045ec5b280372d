"""The kernel's KVM selftests on our modules and on Debian's."""
import re
import time

from lab.machine import LostMachine

from . import image

DIRECTORY = f"{image.MOUNT}/usr/lib/kvm-selftests"
TIMEOUT = 120
# Some depend on time, and an emulated CPU may be kept waiting: those that differ are run again.
AGAIN = 3
WORDS = {0: "passes", 4: "skips", 124: "does not end", 137: "does not end",
         None: "stops the machine"}
# Too big for the machine, or they measure for minutes.
LEFT_OUT = {
    "access_tracking_perf_test": "measures", "demand_paging_test": "measures",
    "dirty_log_perf_test": "measures", "memslot_perf_test": "measures",
    "memslot_modification_stress_test": "measures", "kvm_page_table_test": "measures",
    "max_guest_memory_test": "needs more memory than the machine has",
    "hardware_disable_test": "kills VMs for minutes",
}
# With stock modules, too.
LEFT_OUT_ON = {
    "bochs": {"vmx_preemption_timer_test":
              "the emulator jumps 20 s ahead in it, and the kernel reports a stall",
              "set_memory_region_test": "stops the machine, with stock modules, too",
              "hyperv_ipi": "stops the machine most times, with stock modules, too"},
}


def names(machine):
    """Those that are run, and why the others are not."""
    left_out = {**LEFT_OUT, **LEFT_OUT_ON.get(machine.emulator, {})}
    found = machine.check(f"ls {DIRECTORY}").split()
    return [n for n in found if n not in left_out], {n: left_out[n] for n in found if n in left_out}


def run(machine, wanted):
    """{selftest: (exit status, subtests passed)}; it ends with the one that stops the machine."""
    done = {}
    for name in wanted:
        began = time.monotonic()
        try:
            output, status = machine.run(
                f"cd /tmp; timeout -k 5 {TIMEOUT} {DIRECTORY}/{name}", TIMEOUT + 60)
        except LostMachine:
            done[name] = (None, 0)
            print(f"    {name} {word(done[name])}", flush=True)
            return done
        done[name] = (status, len(re.findall(r"^ok ", output, re.M)))
        print(f"    {name} {time.monotonic() - began:.1f} s {word(done[name])}", flush=True)
    return done


def best(results):
    """The best of some runs of one selftest: it passes, skips, fails, does not end."""
    order = {0: 0, 4: 1, 124: 3, 137: 3, None: 4}
    return min(results, key=lambda r: (order.get(r[0], 2), str(r)))


def word(result):
    status, subtests = result
    return WORDS.get(status, f"fails, {status}") + (f", {subtests} subtests" if subtests else "")


def words(results):
    """All runs of one selftest."""
    chosen = best(results)
    if all(r == chosen for r in results):
        return word(chosen)
    return f"{word(chosen)} in {sum(r == chosen for r in results)} of {len(results)} runs"
