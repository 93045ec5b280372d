"""What the compiler made of the exit path: no lock, no call when it is off, few instructions."""
import re
import subprocess

import pytest
from lab import images
from paths import BUILD, KREL

MODULES = BUILD / "modules" / KREL
SLOW_PATHS = {"__kvm_exit_stats_vmentry", "__kvm_exit_stats_vmexit", "__kvm_exit_phase_end",
              "__kvm_exit_preempt_end", "__kvm_exit_ioctl", "svm_exit_nr_to_slot"}
# Module, function, and how many of our instructions it may have inline: slow paths' calls,
# histograms, and in these also what only an exit to userspace takes.
HOOKED = [
    ("kvm-intel", "vmx_vcpu_enter_exit", 100),
    ("kvm-amd", "svm_vcpu_enter_exit", 92),
    ("kvm", "kvm_arch_vcpu_load", 34),
    ("kvm", "kvm_arch_vcpu_put", 5),
    ("kvm", "vcpu_wait", 16),
]


# What another kernel's hooks have to find out that 6.12 knows.
MORE = {"6.1": {"kvm_arch_vcpu_load": 3, "kvm_arch_vcpu_put": 2}}.get(images.version(KREL), {})


def tool(*arguments):
    return subprocess.run([str(a) for a in arguments], check=True, capture_output=True,
                          text=True).stdout


class Function:
    """A function's instructions, and the sites of the switch in it."""

    def __init__(self, module, name):
        path = MODULES / f"{module}.ko"
        text = tool("objdump", "-d", "-r", "--no-show-raw-insn", f"--disassemble={name}", path)
        section = re.search(r"^Disassembly of section (\S+):\n\n[0-9a-f]+ <", text, re.M)[1]
        # address: (mnemonic, operands, symbol)
        self.instructions = {}
        for line in text.splitlines():
            if match := re.match(r" +([0-9a-f]+):\t((?:(?:lock|notrack|rep\w*|cs|ds|bnd) )*\S+) *(.*)",
                                 line):
                last = int(match[1], 16)
                self.instructions[last] = [match[2], match[3], ""]
            elif match := re.match(r"\t+[0-9a-f]+: R_X86_64_\w+\t(\w+)", line):
                self.instructions[last][2] = match[1]
        self.order = sorted(self.instructions)
        # A site is three relocations of __jump_table: code, target and key.
        table = tool("readelf", "-rW", path).split(".rela__jump_table")[1].split("\n\n")[0]
        entries = re.findall(r"R_X86_64_PC\d+ +[0-9a-f]+ (\S+) \+ ([0-9a-f]+)", table)
        assert len(entries) % 3 == 0
        self.sites = {}
        for code, target, key in zip(*[iter(entries)] * 3):
            if key[0] == "kvm_exit_stats_key" and code[0] == section:
                self.sites[int(code[1], 16)] = int(target[1], 16)
        self.sites = {code: target for code, target in self.sites.items()
                      if code in self.instructions}

    def reachable(self, on):
        """Addresses that can be reached when the switch is on or off."""
        seen, todo = set(), [self.order[0]]
        while todo:
            address = todo.pop()
            if address in seen or address not in self.instructions:
                continue
            seen.add(address)
            mnemonic, operands, symbol = self.instructions[address]
            after = self.order.index(address) + 1
            following = self.order[after:after + 1]
            target = re.match(r"([0-9a-f]+) <", operands)
            target = [int(target[1], 16)] if target else []
            if address in self.sites:
                # As compiled it is on; switched off, a NOP becomes a jump, and a jump a NOP.
                jumps = mnemonic.startswith("jmp") == on
                todo += [self.sites[address]] if jumps else following
            elif mnemonic.startswith("jmp"):
                # To another function, the return thunk for one: its operand is not yet
                # relocated, and would be what stands next.
                todo += [] if symbol else target
            elif mnemonic.startswith("j"):
                todo += target + following
            elif not mnemonic.startswith("ret") and mnemonic != "ud2":
                todo += following
        return seen

    def calls(self, addresses):
        return {self.instructions[a][2] for a in addresses
                if self.instructions[a][0].split()[-1].startswith(("call", "jmp")) and
                self.instructions[a][2]}


@pytest.mark.parametrize("module, name, limit", HOOKED)
def test_hooks(module, name, limit):
    function = Function(module, name)
    assert function.sites
    on, off = function.reachable(True), function.reachable(False)
    ours = on - off
    # Switched off: not one call, not one reading of the TSC, nothing of the accounting.
    assert not function.calls(off) & SLOW_PATHS
    assert not [a for a in off if function.instructions[a][2].startswith("kvm_exit_")]
    # vcpu_wait() enables preemption again, with PREEMPT_DYNAMIC or without.
    assert function.calls(ours) <= SLOW_PATHS | {"__SCT__preempt_schedule", "preempt_schedule_thunk"}
    mnemonics = [function.instructions[a][0] for a in ours]
    assert not [m for m in mnemonics if "lock" in m or "xchg" in m and m != "xchg"]
    assert "rdtsc" in mnemonics
    assert 0 < len(ours) <= limit + MORE.get(name, 0), len(ours)
    print(f"{name}: {len(ours)} instructions inline")


def test_off_reads_no_tsc():
    for module, name in (("kvm-intel", "vmx_vcpu_enter_exit"), ("kvm-amd", "svm_vcpu_enter_exit")):
        function = Function(module, name)
        assert not [a for a in function.reachable(False)
                    if function.instructions[a][0] == "rdtsc"]


@pytest.mark.parametrize("name, locked", [
    # Once for each exit reason, when a histogram is given to it.
    ("__kvm_exit_stats_vmentry", {"lock xadd", "lock bts"}),
    ("__kvm_exit_stats_vmexit", set()),
    ("__kvm_exit_phase_end", set()),
    ("__kvm_exit_preempt_end", set()),
    ("__kvm_exit_ioctl", set()),
])
def test_slow_paths_call_nobody(name, locked):
    function = Function("kvm", name)
    instructions = [function.instructions[a] for a in function.reachable(True)]
    calls = function.calls(function.reachable(True))
    # The kernel replaces pv_ops' calls, which are cli and sti, when it loads the module.
    assert calls <= {"__x86_return_thunk", "__fentry__", "pv_ops"}, calls
    assert {" ".join(i[0].split()[:2])[:12].rstrip("lwq") for i in instructions
            if i[0].startswith("lock")} <= locked
