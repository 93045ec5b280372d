/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The programs of exits.bpf.c in the kernel: loaded by this process, with which
 * they end, or pinned, so that they count until they are unpinned or the host
 * goes down
 */
#ifndef SOURCE_BPF_LOAD_H
#define SOURCE_BPF_LOAD_H

#include <bpf/libbpf.h>
#include <exits.skel.h>
#include <stdbool.h>
#include <stddef.h>

#include "source/bpf_rows.h"
#include "source/source.h"

/* Where a bpf file system is mounted, and what is pinned there. */
#define BPF_FS "/sys/fs/bpf"
#define BPF_PINS BPF_FS "/exitstat"

struct bpf_counters {
	/* NULL of those that are pinned */
	struct exits *skel;
	/* vmx or svm */
	const char *isa;
	/* What the programs write, in their memory. */
	struct exits__bss *bss;
	const struct bpf_row *rows;
	size_t nr_rows;
};

/* Why exits cannot be counted here, in a few words, or NULL. */
const char *bpf_trouble(const struct source_paths *paths);
/* Are there pinned ones? */
bool bpf_is_pinned(void);

/*
 * Load the programs, or take those that are pinned.  STATUS_OK, or a status after
 * a message; close them anyway.
 */
int bpf_load(struct bpf_counters *counters, const struct source_paths *paths);
int bpf_open_pinned(struct bpf_counters *counters,
		    const struct source_paths *paths);
void bpf_close(struct bpf_counters *counters);

/* Pin what was loaded.  STATUS_OK, or a status after a message. */
int bpf_pin(struct bpf_counters *counters);
/* Let them end.  STATUS_OK, or a status after a message. */
int bpf_unpin(void);

#endif
