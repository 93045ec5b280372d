/* SPDX-License-Identifier: GPL-2.0 */
/* All that was read at one moment: the host, its VMs and their vCPUs. */
#ifndef MODEL_SCAN_H
#define MODEL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/scope.h"

#define SOURCE_NAME_SIZE 64

struct exit_scan {
	/* in the order of scope_cmp() */
	struct exit_scope *scopes;
	size_t nr_scopes;
	/* the name of the source, or empty */
	char source[SOURCE_NAME_SIZE];
	/* CLOCK_MONOTONIC and CLOCK_REALTIME when it began, in ns */
	uint64_t monotonic;
	uint64_t realtime;
	/* In a difference: how long, in ns; 0 is since the counters began. */
	uint64_t interval;
};

/* Append a scope that is all 0, or return NULL if memory runs out. */
struct exit_scope *scan_add(struct exit_scan *scan);
/* Take that back. */
void scan_drop_last(struct exit_scan *scan);
/* Put the scopes in order once all are there. */
void scan_sort(struct exit_scan *scan);
struct exit_scope *scan_find(const struct exit_scan *scan,
			     const struct exit_scope *key);
/*
 * Leave in @scan what was counted since @before.  What began after that counts
 * whole, and what has ended since is not in @scan.
 */
void scan_subtract(struct exit_scan *scan, const struct exit_scan *before);
/* How long @scope, which is in @scan, was counted: ns, or 0 as in there. */
uint64_t scan_scope_interval(const struct exit_scan *scan,
			     const struct exit_scope *scope);
/* False, and nothing in @copy, if there is no memory for it. */
bool scan_copy(struct exit_scan *copy, const struct exit_scan *scan);
void scan_free(struct exit_scan *scan);

#endif
