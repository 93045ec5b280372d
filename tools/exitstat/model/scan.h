/* SPDX-License-Identifier: GPL-2.0 */
/* Reading the counters of a host, of its VMs and their vCPUs, or of this VM. */
#ifndef EXITSTAT_SCAN_H
#define EXITSTAT_SCAN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "model/latency.h"
#include "model/snapshot.h"

#define VM_ID_SIZE 32
#define VM_NAME_SIZE 128

/* Leaves room in PATH_MAX for every file below. */
#define MOUNT_MAX (PATH_MAX - 128)

/* Where the counters are; the paths are no longer than MOUNT_MAX. */
struct exit_source {
	/* this VM's own, through CPUID, and nothing below */
	bool guest;
	const char *debugfs;
	const char *sysfs;
	const char *procfs;
	/* the user knows that sysfs takes debugfs's place */
	bool told_sysfs;
};

/* What to read. */
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
	/* this vCPU only, or -1 */
	int64_t vcpu;
	/* vCPUs and histograms of this VM only, <pid>-<fd>, or NULL */
	const char *details_of;
	/* VMs that were named may be gone, without an error */
	bool may_have_ended;
	/* It was all there before: what is missing now has ended. */
	bool again;
};

enum scope_kind {
	SCOPE_HOST,
	SCOPE_VM,
	SCOPE_VCPU,
};

struct exit_scope {
	enum scope_kind kind;
	/* Of a VM and its vCPUs: <pid>-<fd>, or empty inside a guest. */
	char vm[VM_ID_SIZE];
	/* as the operator knows it, UTF-8 without control characters */
	char name[VM_NAME_SIZE];
	/*
	 * <pid>-<fd> may come again.  Its directory's inode and the start of
	 * the process do not.
	 */
	uint64_t inode, start_time;
	uint32_t vcpu;
	uint32_t nr_vcpus;
	struct exit_snapshot snap;
	struct exit_latency latency;
	/* In a difference: it is all there was, there is nothing before it. */
	bool is_new;
};

struct exit_scan {
	/* in the order of scope_cmp() */
	struct exit_scope *scopes;
	size_t nr_scopes;
	/* CLOCK_MONOTONIC and CLOCK_REALTIME when it began, in ns */
	uint64_t monotonic;
	uint64_t realtime;
	/* In a difference: how long, in ns; 0 is since the counters began. */
	uint64_t interval;
};

/*
 * Fill an all-0 scan.  STATUS_OK, or the program's status after a message.  VMs
 * that come or go meanwhile are in it or left out.
 */
int scan_read(struct exit_source *source, const struct exit_selection *sel,
	      struct exit_scan *scan);
/*
 * Leave in @scan what was counted since @before.  What began after that counts
 * whole, and what has ended since is not in @scan.
 */
void scan_subtract(struct exit_scan *scan, const struct exit_scan *before);
/* False, after a message, if there is no memory for it. */
bool scan_copy(struct exit_scan *copy, const struct exit_scan *scan);
/* Of one scope: false, without a message. */
bool scope_copy(struct exit_scope *copy, const struct exit_scope *scope);
/* Host, then by VM, each before its vCPUs. */
int scope_cmp(const void *a, const void *b);
/* Are they of the same VM, not only of one with the same <pid>-<fd>? */
bool vm_is_same(const struct exit_scope *a, const struct exit_scope *b);
/* The same VM or vCPU, not only another with its name. */
bool scope_is_same(const struct exit_scope *a, const struct exit_scope *b);
struct exit_scope *scan_find(const struct exit_scan *scan,
			     const struct exit_scope *key);
/* Append a scope that is all 0, or say that memory is out and return NULL. */
struct exit_scope *scan_add(struct exit_scan *scan);
/* Take that back. */
void scan_drop_last(struct exit_scan *scan);
void scan_free(struct exit_scan *scan);

/* host, vm or vcpu */
const char *scope_name(const struct exit_scope *scope);

uint64_t clock_ns(clockid_t clock);

/* Does the user's @pattern, as in exit_selection, mean this VM or vCPU? */
bool scope_matches(const struct exit_scope *scope, const char *pattern);

/* Is @id <pid>-<fd>, or with @pid_alone <pid>? */
bool is_vm_id(const char *id, bool pid_alone);

/*
 * The sources.  Each returns STATUS_OK, or tells the user what is wrong and
 * returns the program's status.
 */
/*
 * False if debugfs cannot be read by this user or has nothing, and @why then
 * gets a few words.  True leaves all other errors to those who read it.
 */
bool debugfs_is_readable(const char *debugfs, char *why, size_t size);
int debugfs_read_host(struct exit_scope *scope, const char *debugfs,
		      bool latency);
int debugfs_read_vms(struct exit_scan *scan, const struct exit_source *source,
		     const struct exit_selection *sel);
bool sysfs_is_there(const char *sysfs);
/* Tells the user that these are not debugfs's, and @why, unless *told. */
int sysfs_read_host(struct exit_snapshot *snap, const char *sysfs,
		    const char *why, bool *told);
int cpuid_read(struct exit_snapshot *snap);

/*
 * What an operator calls the VM of process @pid: QEMU's -name, another VMM's
 * --id, or the process's command.
 */
void vm_name(const char *procfs, const char *pid, char *name);
/* Copy @len bytes that anybody may have chosen into VM_NAME_SIZE, printable. */
void vm_copy_name(char *name, const char *text, size_t len);
/* When the process began, in clock ticks after boot, or 0. */
uint64_t vm_start_time(const char *procfs, const char *pid);

#endif
