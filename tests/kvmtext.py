"""The text of KVM's files, exit_stats and exit_latency, for whoever makes some."""

# What is counted of each reason.
COLUMNS = ("exits", "handle_cycles", "user_cycles", "wait_cycles", "preempted_cycles", "l2_exits",
           "l2_handle_cycles")
LATENCY = ("reason", "name", "time", "exits", "max_cycles", "from_cycles", "below_cycles")


def file_of(where="", kind="exit_stats"):
    """Below KVM's directory in debugfs: the host's file, or that of the VM or vCPU with the directory `where`."""
    parts = [part for part in str(where).split("/") if part]
    return "/".join([*parts, ("", "vm_", "vcpu_")[len(parts)] + kind])


def first_line(title, keys):
    return " ".join([title, *(f"{key}={value}" for key, value in keys.items())])


def number_of(reason):
    """OTHER and TOTAL have none."""
    return "-" if reason is None else reason


def stats_text(rows, total, keys):
    """exit_stats, as kvm_exit_stats_print() prints it; a row is a number or None, a name, and counts."""
    row = "%6s %-26s" + " %16s" * len(total)
    return "\n".join([first_line("exit_stats", keys), row % ("reason", "name", *COLUMNS[:len(total)]),
                      *(row % (number_of(number), name, *counts) for number, name, *counts in rows),
                      row % ("-", "TOTAL", *total)])


def latency_text(rows, keys):
    """exit_latency, as kvm_exit_latency_show() prints it; a row's end is None in the last bucket."""
    row = "%6s %-26s %-6s %16s %16s %11s %12s"
    return "\n".join([first_line("exit_latency", keys), row % LATENCY, *(
        row % (number_of(number), name, *values, "-" if end is None else end)
        for number, name, *values, end in rows)]) + "\n"
