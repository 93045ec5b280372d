/* SPDX-License-Identifier: GPL-2.0 */
/* What the user wants to see. */
#ifndef SOURCE_SELECT_H
#define SOURCE_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/scan.h"

/* How well a VM fits what the user typed.  The best one of all VMs is what is meant. */
enum vm_match {
	VM_NO_MATCH,
	VM_BY_PATTERN,
	VM_BY_PID,
	VM_BY_ID,
	VM_BY_VMID,
	VM_BY_NAME,
};

struct vm_pattern {
	const char *text;
	/* the best match so far, of any VM that was there */
	enum vm_match best;
	/* The user was told that it may mean others, too. */
	bool told;
};

struct exit_selection {
	bool host;
	bool vms;
	bool vcpus;
	/* the histograms */
	bool host_latency, vm_latency, vcpu_latency;
	/* count the vCPUs of each VM */
	bool nr_vcpus;
	/*
	 * A name, a number that Proxmox has, <pid>-<fd>, <pid>, or a glob on
	 * <pid>-<fd> or on the name; none of them means all.  What is not a glob
	 * must be there.
	 */
	struct vm_pattern *vm_patterns;
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
	/* VMs with a <pid>-<fd> that came again have a number behind it. */
	bool numbered;
	/* It was all there before: what is missing now has ended. */
	bool again;
};

/* Is it one of those that were selected, as far as is known by now? */
bool selection_has(const struct exit_selection *sel,
		   const struct exit_scope *scope);
/* Is it of the VMs that were selected, whatever scopes were? */
bool selection_has_vm(const struct exit_selection *sel,
		      const struct exit_scope *vm);
/*
 * Find out what the user's patterns mean, now that all VMs there are, or some, are in
 * @vms, which may have other scopes, too.  Where one also fits another VM that is not
 * meant, that is said.
 */
void selection_find(const struct exit_selection *sel,
		    const struct exit_scan *vms);
/* Begin anew, with what other VMs. */
void selection_forget(const struct exit_selection *sel);
/* The first pattern that no VM had, and that is no glob, or NULL. */
const struct vm_pattern *selection_missing(const struct exit_selection *sel);
/* Room for the VMs that a message names. */
#define VM_LIST_SIZE 1024
/* "1234-11 web1, 1300-11 db": those in @vms, and how many more there are. */
void list_vms(const struct exit_scan *vms, char *list, size_t size);
/*
 * The same for a host on which @vms are all VMs there are: STATUS_OK, or STATUS_ERROR
 * after a message if there is none that the user named.
 */
int selection_check_vms(const struct exit_selection *sel,
			const struct exit_scan *vms);
/*
 * Those that were named must still be in @scan, now that all of them were read, and
 * so must the vCPU that was.  As above.
 */
int selection_check_read(const struct exit_selection *sel,
			 const struct exit_scan *vms,
			 const struct exit_scan *scan);
/* Each reason that was named must be one.  STATUS_OK, or after a message. */
int selection_check_reasons(const struct exit_selection *sel,
			    const struct exit_scan *scan);
/* Take the reasons that were not selected out of a scan. */
void selection_filter(const struct exit_selection *sel, struct exit_scan *scan);

#endif
