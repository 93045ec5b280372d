/* SPDX-License-Identifier: GPL-2.0 */
/* What counters are of: the host, a VM, or one of its vCPUs. */
#ifndef MODEL_SCOPE_H
#define MODEL_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/latency.h"

#define VM_ID_SIZE 32
#define VM_NAME_SIZE 128
#define SCOPE_LABEL_SIZE (VM_ID_SIZE + VM_NAME_SIZE + 32)

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
	 * <pid>-<fd> may come again, these two do not: that of the VM and that
	 * of its process, which may be unknown and then is 0.  Only their source
	 * knows what they are.
	 */
	uint64_t id[2];
	uint32_t vcpu;
	uint32_t nr_vcpus;
	struct exit_snapshot snap;
	struct exit_latency latency;
	/* In a difference: it is all there was, there is nothing before it. */
	bool is_new;
};

/* host, vm or vcpu */
const char *scope_name(const struct exit_scope *scope);
/* False if it is none of these names. */
bool scope_parse_kind(const char *name, enum scope_kind *kind);
/* What people call it: VM 1234-11 web1 vCPU 0; into SCOPE_LABEL_SIZE bytes. */
void scope_label(const struct exit_scope *scope, char *label);

/* Is @vm <pid>-<fd>, or with @pid_alone <pid>? */
bool is_vm_id(const char *vm, bool pid_alone);

/* For qsort(): host, then by VM, each before its vCPUs. */
int scope_cmp(const void *a, const void *b);
/* Are they of the same VM, not only of one with the same <pid>-<fd>? */
bool vm_is_same(const struct exit_scope *a, const struct exit_scope *b);
/* The same VM or vCPU, not only another with its name. */
bool scope_is_same(const struct exit_scope *a, const struct exit_scope *b);

/* False if there is no memory for it; free the copy anyway. */
bool scope_copy(struct exit_scope *copy, const struct exit_scope *scope);
/* The same without what was counted: who it is, and what is known of it. */
void scope_copy_empty(struct exit_scope *copy, const struct exit_scope *scope);
void scope_free(struct exit_scope *scope);

#endif
