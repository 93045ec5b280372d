/* SPDX-License-Identifier: GPL-2.0 */
/* What the BPF programs and who reads them share: rows of counters in a map. */
#ifndef SOURCE_BPF_ROWS_H
#define SOURCE_BPF_ROWS_H

/*
 * An exit number is made a small index: those of VMX as they are, those of SVM
 * up to 0xff, from 0x400 on, and from -1 downwards.  An index gets a slot when it
 * is seen first; slot 0 is OTHER.
 */
#define BPF_LOW 256
#define BPF_HIGH_BASE 0x400
#define BPF_HIGH 16
#define BPF_NEGATIVE 16
/* The power of two above BPF_LOW + BPF_HIGH + BPF_NEGATIVE. */
#define BPF_INDICES 512
#define BPF_SLOTS 64

/* More vCPUs than that share a row. */
#define BPF_MAX_ROWS 65536

/* Row 0 is of all vCPUs for which there is no row, row 1 of those that ended. */
#define BPF_ROW_SHARED 0
#define BPF_ROW_ENDED 1
#define BPF_ROW_FIRST 2

#define BPF_BUCKETS 24

#define BPF_MAX_CPUS 8192
#define BPF_VM_NAME 32

enum bpf_count {
	BPF_EXITS,
	BPF_HANDLE,
	BPF_USER,
	BPF_WAIT,
	BPF_PREEMPTED,
	BPF_L2_EXITS,
	BPF_L2_HANDLE,
	BPF_COUNTS,
};

/* The slot of a vCPU that is in its guest. */
#define BPF_NO_SLOT BPF_SLOTS

/* A vCPU, which alone writes it. */
struct bpf_row {
	/* the kernel's address of it, or 0 if the row is free */
	unsigned long long vcpu;
	unsigned long long vm;
	/* rises with each row that is taken */
	unsigned long long serial;
	unsigned int vcpu_id;
	unsigned int pid;
	/* <pid>-<fd>, or empty */
	char vm_name[BPF_VM_NAME];
	/* since when it is in its guest, or handled; CLOCK_MONOTONIC, ns; 0 is outside */
	unsigned long long stamp;
	/* when it left the CPU or KVM_RUN, or 0 */
	unsigned long long preempted_at;
	unsigned long long user_at;
	/* preempted since the exit, and since when */
	unsigned long long preempted;
	unsigned long long preempted_from;
	/* of the exit that is handled */
	unsigned int slot;
	unsigned int l2;
	/* of the row itself */
	unsigned int number;
	/* user and preempted since the exit */
	unsigned long long extra;
	/* KVM's own stat.exits: at the first entry, and when it last left the CPU */
	unsigned long long first_exits;
	unsigned long long last_exits;
	unsigned long long guest;
	unsigned long long counts[BPF_SLOTS][BPF_COUNTS];
};

/*
 * Which of its times an exit was put into a histogram for.  Most have no user and
 * preempted time, and are in one only.
 */
enum bpf_part {
	BPF_BOTH,
	BPF_HANDLE_ONLY,
	BPF_TOTAL_ONLY,
	BPF_PARTS,
};

/* The buckets of model/latency.h, in ns. */
struct bpf_histogram {
	unsigned long long max[BPF_PARTS];
	unsigned long long exits[BPF_PARTS][BPF_BUCKETS];
};

/* Those of the row with the same number. */
struct bpf_histograms {
	struct bpf_histogram slots[BPF_SLOTS];
};

#endif
