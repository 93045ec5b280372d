/* SPDX-License-Identifier: GPL-2.0 */
/* What counters are of: the host, a VM, or one of its vCPUs. */
#ifndef MODEL_SCOPE_H
#define MODEL_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/latency.h"

#define VM_ID_SIZE 32
#define VM_NAME_SIZE 256
#define VMID_SIZE 16
#define SCOPE_LABEL_SIZE (VM_ID_SIZE + VM_NAME_SIZE + 32)

enum scope_kind {
	SCOPE_HOST,
	SCOPE_VM,
	SCOPE_VCPU,
};

struct exit_scope {
	enum scope_kind kind;
	/*
	 * Of a VM and its vCPUs: <pid>-<fd>, or empty inside a guest.  In a sum of
	 * a recording the next one with the same two has #2 behind it.
	 */
	char vm[VM_ID_SIZE];
	/* as the operator knows it, UTF-8 without control characters */
	char name[VM_NAME_SIZE];
	/* the number that Proxmox has for it, or empty */
	char vmid[VMID_SIZE];
	/* the process of its VMM, or 0 if that is unknown */
	uint32_t pid;
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
	/* In a sum: how much of it the VM was there, ns; 0 is all the time. */
	uint64_t interval;
};

/* host, vm or vcpu */
const char *scope_name(const struct exit_scope *scope);
/* False if it is none of these names. */
bool scope_parse_kind(const char *name, enum scope_kind *kind);
/* What people call it: VM 1234-11 web1 vCPU 0; into SCOPE_LABEL_SIZE bytes. */
void scope_label(const struct exit_scope *scope, char *label);

/* Is @vm <pid>-<fd>, or <pid>-<fd>#<n>? */
bool is_vm_id(const char *vm);
/*
 * What is shown of a name of @len bytes, which may be anything, into VM_NAME_SIZE
 * bytes.  One that is too long ends in a hash of it, so that no two look alike.
 */
void scope_set_name(char *name, const char *text, size_t len);

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
