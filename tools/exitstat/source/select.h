/* SPDX-License-Identifier: GPL-2.0 */
/* What the user wants to see. */
#ifndef SOURCE_SELECT_H
#define SOURCE_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/scan.h"

struct exit_selection {
	bool host;
	bool vms;
	bool vcpus;
	/* the histograms */
	bool host_latency, vm_latency, vcpu_latency;
	/* count the vCPUs of each VM */
	bool nr_vcpus;
	/*
	 * <pid>-<fd>, <pid>, or a glob on <pid>-<fd> or on the name; none of
	 * them means all.  What is not a glob must be there.
	 */
	char *const *vm_patterns;
	size_t nr_vm_patterns;
	/* numbers, names or globs of reasons; none of them means all */
	char *const *reason_patterns;
	size_t nr_reason_patterns;
	/* this vCPU only, or -1 */
	int64_t vcpu;
	/* vCPUs and histograms of this VM only, <pid>-<fd>, or NULL */
	const char *details_of;
	/* VMs that were named may be gone, without an error */
	bool may_have_ended;
	/* It was all there before: what is missing now has ended. */
	bool again;
};

/* Does the user's @pattern, one of @vm_patterns, mean this VM or vCPU? */
bool scope_matches(const struct exit_scope *scope, const char *pattern);
/* Is it one of those that were selected? */
bool selection_has(const struct exit_selection *sel,
		   const struct exit_scope *scope);
/* May @pattern mean several? */
bool pattern_is_glob(const char *pattern);
/* How many VMs a message names. */
#define MAX_LISTED_VMS 16
/*
 * Say that the user's @pattern means none of @nr VMs, of which @vms has the first
 * ones, at most MAX_LISTED_VMS.  STATUS_ERROR.
 */
int no_such_vm(const struct exit_selection *sel, const char *pattern,
	       const char *const *vms, size_t nr);
int vm_has_ended(const char *vm);
/* Take the reasons that were not selected out of a scan. */
void selection_filter(const struct exit_selection *sel, struct exit_scan *scan);

#endif
