/* SPDX-License-Identifier: GPL-2.0 */
/* What the BPF programs of details and who reads them share. */
#ifndef DETAILS_ROWS_H
#define DETAILS_ROWS_H

/* vCPUs, and keys that are told apart; what has no room is one row. */
#define DETAILS_THREADS 16384
#define DETAILS_KEYS 8192
/* VMMs that are looked at, if not all are */
#define DETAILS_PROCESSES 64

/* What a key is, and what was done with it. */
enum details_kind {
	/* no tracepoint told anything of the exit */
	DETAILS_NONE,
	DETAILS_READ,
	DETAILS_WRITE,
	DETAILS_EXECUTE,
	/* neither */
	DETAILS_PLAIN,
	/* of these the rest is the same for all */
	DETAILS_HYPERV,
	DETAILS_XEN,
	/* an address of memory, and what was done to it */
	DETAILS_MEMORY_READ,
	DETAILS_MEMORY_WRITE,
	DETAILS_MEMORY_EXECUTE,
	/* a doorbell that an ioeventfd answered */
	DETAILS_DOORBELL,
	DETAILS_KINDS,
};

/* Where the key of an exit comes from, bits. */
enum details_from {
	DETAILS_FROM_MSR = 1 << 0,
	DETAILS_FROM_PIO = 1 << 1,
	DETAILS_FROM_MMIO = 1 << 2,
	DETAILS_FROM_PAGE_FAULT = 1 << 3,
	DETAILS_FROM_HYPERCALL = 1 << 4,
	DETAILS_FROM_CPUID = 1 << 5,
	DETAILS_FROM_APIC = 1 << 6,
	DETAILS_FROM_WAKEUP = 1 << 7,
	/* fields of kvm_exit itself */
	DETAILS_FROM_VECTOR = 1 << 8,
	DETAILS_FROM_INFO1 = 1 << 9,
	/* whatever the reason: why it went to userspace */
	DETAILS_FROM_USERSPACE = 1 << 10,
};

struct details_key {
	unsigned long long value;
	/* of the instruction in the guest, or 0 */
	unsigned long long rip;
	/* of the VMM */
	unsigned int process;
	unsigned int kind;
};

struct details_count {
	unsigned long long exits;
	/* from the exits to the next entries, ns */
	unsigned long long time;
};

/* An exit that is handled, of the thread that handles it. */
struct details_thread {
	unsigned long long stamp;
	struct details_key key;
	/* It is one that is looked at, and not over. */
	unsigned int active;
	unsigned int unused;
};

#endif
