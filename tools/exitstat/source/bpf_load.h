/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The programs of exits.bpf.c in the kernel: loaded by this process, with which
 * they end, or pinned, so that they count until they are unpinned or the host
 * goes down
 */
#ifndef SOURCE_BPF_LOAD_H
#define SOURCE_BPF_LOAD_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

/* before the skeleton, whose .bss has rows */
#include "source/bpf_rows.h"

#include <exits.skel.h>

#include "source/source.h"

/* Where a bpf file system is mounted, and what is pinned there. */
#define BPF_FS "/sys/fs/bpf"
#define BPF_PINS BPF_FS "/exitstat"

/* What the programs write: their .bss, rows that have no room there, histograms. */
enum bpf_memory_of {
	BPF_OF_BSS,
	BPF_OF_ROWS,
	BPF_OF_HISTOGRAMS,
	NR_BPF_MEMORIES,
};

struct bpf_memory {
	/* It is mapped, unless this user may only read; or a copy of it. */
	void *data;
	size_t size;
	/* of a copy, and how many elements of which size it has */
	int fd;
	size_t nr, element;
	bool is_copy;
};

struct bpf_counters {
	/* NULL of those that are pinned */
	struct exits *skel;
	/* vmx or svm */
	const char *isa;
	enum count_level level;
	const struct exits__bss *bss;
	/* those of bss, or a map's */
	const struct bpf_row *rows;
	size_t nr_rows;
	/* as many, or NULL: those of each row */
	const struct bpf_histograms *histograms;
	struct bpf_memory memories[NR_BPF_MEMORIES];
};

/* Why exits cannot be counted here, in a few words, or NULL. */
const char *bpf_trouble(const struct source_setup *setup);
/*
 * Are there pinned ones, and with histograms?  They can be read by who may read
 * their files.
 */
bool bpf_is_pinned(void);
bool bpf_has_pinned_histograms(void);
/* All exits that KVM has counted, or 0 if debugfs cannot be read. */
unsigned long long bpf_kvm_exits(const struct source_setup *setup);

/*
 * Load the programs, or take those that are pinned.  STATUS_OK, or a status after
 * a message; close them anyway.
 */
int bpf_load(struct bpf_counters *counters, const struct source_setup *setup);
int bpf_open_pinned(struct bpf_counters *counters,
		    const struct source_setup *setup);
void bpf_close(struct bpf_counters *counters);
/*
 * Let what is read be what was counted until now.  The number of series of folds
 * that have ended; what was read since is whole if as many have begun.  False if
 * the kernel refuses.
 */
bool bpf_refresh(struct bpf_counters *counters, unsigned long long *folds);
bool bpf_is_whole(const struct bpf_counters *counters,
		  unsigned long long folds);

/* Pin what was loaded.  STATUS_OK, or a status after a message. */
int bpf_pin(struct bpf_counters *counters);
/* Let them end.  STATUS_OK, or a status after a message. */
int bpf_unpin(void);

#endif
