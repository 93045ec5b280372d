// SPDX-License-Identifier: GPL-2.0
/*
 * The counters run on between two CPUIDs, and each CPUID is itself an exit, so
 * the rows do not belong to one moment.  The totals are read first and CPUID's
 * own row right after them, before most of our own exits happen.  The leaves
 * have no row OTHER: it is what the totals have more than the rows.  Whatever
 * is counted while we read makes the rows larger, so this difference is never
 * more than the true OTHER, and where it would be negative it is 0.  All sums
 * wrap at 2^64, so a difference of 2^63 or more is a negative one.  The total
 * that we show is the sum of the rows that we show.
 */
#include <ctype.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "base/message.h"
#include "model/reasons.h"
#include "source/cpuid.h"
#include "source/cpuid_insn.h"

#define LEAF_FEATURES 0x1
#define LEAF_HYPERVISOR 0x40000000
#define LEAF_SIGNATURE 0x4fffff00
#define LEAF_INFO 0x4fffff01
#define LEAF_CYCLES 0x4ffffffc
#define LEAF_EXITS 0x4ffffffd
#define LEAF_ALL_CYCLES 0x4ffffffe
#define LEAF_ALL_EXITS 0x4fffffff

#define FEATURES_ECX_HYPERVISOR (1u << 31)
#define INFO_ABI 1
#define INFO_ECX_SVM (1u << 0)
#define INFO_ECX_HOST (1u << 1)
#define INFO_ECX_GENERATION (1u << 2)
#define EDX_UNDEFINED 0xffffffff

/* We ask for every number below the end, whatever a damaged leaf says it is. */
#define MAX_END 0x800

struct reader {
	struct exit_snapshot *snap;
	const struct reason_table *table;
	/* first number above all defined ones */
	uint32_t end;
};

static sigjmp_buf fault;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(fault, 1);
}

static bool query_cpuid(uint32_t leaf, uint32_t index, struct cpuid_regs *regs)
{
	const struct sigaction action = { .sa_handler = on_fault };
	volatile bool ok = false;
	struct sigaction old;

	sigaction(SIGSEGV, &action, &old);
	if (!sigsetjmp(fault, 1)) {
		cpuid_insn(leaf, index, regs);
		ok = true;
	}
	sigaction(SIGSEGV, &old, NULL);
	return ok;
}

static int query(uint32_t leaf, uint32_t index, struct cpuid_regs *regs)
{
	if (query_cpuid(leaf, index, regs))
		return STATUS_OK;

	return fail(
		STATUS_ERROR,
		"CPUID faults in this process: run exitstat where CPUID faulting is off, not under a debugger or sandbox that traps CPUID");
}

static uint64_t u64_of(uint32_t high, uint32_t low)
{
	return (uint64_t)high << 32 | low;
}

static int query_exits(uint32_t leaf, uint32_t nr, uint64_t *exits,
		       bool *defined)
{
	struct cpuid_regs regs;
	int status = query(leaf, nr, &regs);

	if (status == STATUS_OK) {
		*exits = u64_of(regs.ebx, regs.eax);
		*defined = regs.edx != EDX_UNDEFINED;
	}
	return status;
}

static int query_cycles(uint32_t leaf, uint32_t nr, uint64_t *cycles)
{
	struct cpuid_regs regs;
	int status = query(leaf, nr, &regs);

	if (status == STATUS_OK)
		*cycles = u64_of(regs.ebx, regs.ecx);
	return status;
}

static int add_row(struct reader *reader, const struct exit_row *row)
{
	struct exit_row *new = snapshot_add_row(reader->snap);

	if (!new)
		return out_of_memory();

	*new = *row;
	return STATUS_OK;
}

static int add_reason(struct reader *reader, uint32_t nr, uint64_t exits,
		      uint64_t handle_cycles)
{
	struct exit_row row = {
		.reason = nr,
		.counts = {
			[COUNT_EXITS] = exits,
			[COUNT_HANDLE_CYCLES] = handle_cycles,
		},
	};

	if (!counts_any(row.counts))
		return STATUS_OK;

	reason_label(row.name, reader->table, nr);
	return add_row(reader, &row);
}

static int read_reason(struct reader *reader, uint32_t nr)
{
	uint64_t exits, handle_cycles;
	bool defined;
	int status;

	status = query_exits(LEAF_EXITS, nr, &exits, &defined);
	if (status || !defined)
		return status;

	status = query_cycles(LEAF_CYCLES, nr, &handle_cycles);
	if (status)
		return status;

	return add_reason(reader, nr, exits, handle_cycles);
}

static int read_reasons(struct reader *reader)
{
	const struct reason_table *table = reader->table;
	int status;
	uint32_t nr;
	size_t i;

	for (nr = 0; nr < reader->end && nr < MAX_END; nr++) {
		if (nr == table->cpuid)
			continue;
		status = read_reason(reader, nr);
		if (status)
			return status;
	}

	/* These are above the end that the leaves give. */
	for (i = 0; i < table->nr_negative; i++) {
		status = read_reason(reader, -1 - i);
		if (status)
			return status;
	}
	return STATUS_OK;
}

/* How much more @total is than @sum, or 0. Both may have wrapped. */
static uint64_t excess(uint64_t total, uint64_t sum)
{
	uint64_t difference = total - sum;

	return difference < 1ULL << 63 ? difference : 0;
}

static int add_other(struct reader *reader, uint64_t exits,
		     uint64_t handle_cycles)
{
	struct exit_snapshot *snap = reader->snap;
	struct exit_row row = {
		.other = true,
		.name = "OTHER",
	};

	snapshot_finish(snap);
	row.counts[COUNT_EXITS] = excess(exits, snap->total[COUNT_EXITS]);
	row.counts[COUNT_HANDLE_CYCLES] =
		excess(handle_cycles, snap->total[COUNT_HANDLE_CYCLES]);

	return counts_any(row.counts) ? add_row(reader, &row) : STATUS_OK;
}

static int read_counts(struct reader *reader)
{
	uint64_t exits, handle_cycles, cpuid_exits, cpuid_cycles;
	uint32_t cpuid = reader->table->cpuid;
	bool defined;
	int status;

	status = query_exits(LEAF_ALL_EXITS, 0, &exits, &defined);
	if (status)
		return status;
	status = query_exits(LEAF_EXITS, cpuid, &cpuid_exits, &defined);
	if (status)
		return status;
	/* CPUID's row has the query that read it, which the total has not. */
	exits++;

	status = query_cycles(LEAF_ALL_CYCLES, 0, &handle_cycles);
	if (status)
		return status;
	status = query_cycles(LEAF_CYCLES, cpuid, &cpuid_cycles);
	if (status)
		return status;

	status = add_reason(reader, cpuid, cpuid_exits, cpuid_cycles);
	if (status)
		return status;
	status = read_reasons(reader);
	if (status)
		return status;
	return add_other(reader, exits, handle_cycles);
}

static void put_signature(char *text, const struct cpuid_regs *regs)
{
	memcpy(text, &regs->ebx, 4);
	memcpy(text + 4, &regs->ecx, 4);
	memcpy(text + 8, &regs->edx, 4);
	text[12] = '\0';
}

/* Tell why this VM has no leaves.  Hyper-V's may stand before KVM's own. */
static int no_leaves(void)
{
	char first[13], text[13];
	struct cpuid_regs regs;
	uint32_t offset;
	int status;
	char *c;

	for (offset = 0; offset < 0x10000; offset += 0x100) {
		status = query(LEAF_HYPERVISOR + offset, 0, &regs);
		if (status)
			return status;
		put_signature(text, &regs);
		if (!offset)
			strcpy(first, text);
		if (!memcmp(text, "KVMKVMKVM\0\0", 12))
			return fail(
				STATUS_UNSUPPORTED,
				"this VM's host does not offer exit accounting: its KVM must have it, with the parameters exit_stats=1, exit_stats_cpuid=vm and exit_stats_cpuid_cpl0=0");
	}

	for (c = first; *c; c++) {
		if (!isprint((unsigned char)*c))
			*c = '?';
	}
	return fail(
		STATUS_UNSUPPORTED,
		"this VM's hypervisor is not KVM but '%s': only KVM has exit accounting",
		first);
}

static int find_leaves(void)
{
	struct cpuid_regs regs;
	char signature[13];
	int status;

	status = query(LEAF_FEATURES, 0, &regs);
	if (status)
		return status;
	if (!(regs.ecx & FEATURES_ECX_HYPERVISOR))
		return fail(
			STATUS_UNSUPPORTED,
			"this is not a VM: run 'exitstat guest' in a guest, or 'exitstat show' here");

	/* An Intel CPU answers leaves that it does not have with garbage. */
	status = query(LEAF_SIGNATURE, 0, &regs);
	if (status)
		return status;
	put_signature(signature, &regs);
	if (regs.eax != LEAF_ALL_EXITS || strcmp(signature, "KVMExitStats"))
		return no_leaves();
	return STATUS_OK;
}

static int read_leaves(struct exit_scope *scope)
{
	struct exit_snapshot *snap = &scope->snap;
	struct reader reader = { .snap = snap };
	struct cpuid_regs regs;
	int status;

	status = find_leaves();
	if (status)
		return status;

	status = query(LEAF_INFO, 0, &regs);
	if (status)
		return status;
	if (regs.eax > INFO_ABI)
		return fail(
			STATUS_ERROR,
			"the host's CPUID leaves have version %u and this exitstat knows version %u: update exitstat",
			regs.eax, INFO_ABI);
	if (regs.eax != INFO_ABI || !regs.ebx)
		return fail(
			STATUS_ERROR,
			"the CPUID leaf 0x%x is damaged: ask the host whether its VMM sets that leaf",
			LEAF_INFO);

	reader.end = regs.ebx;
	reader.table = reasons_of(regs.ecx & INFO_ECX_SVM ? "svm" : "vmx");

	strcpy(snap->isa, reader.table->isa);
	scope->kind = regs.ecx & INFO_ECX_HOST ? SCOPE_HOST : SCOPE_VM;
	snap->clock.tsc_khz = regs.edx;
	/* Another one has counters that have nothing to do with these. */
	if (regs.ecx & INFO_ECX_GENERATION) {
		status = query(LEAF_INFO, 1, &regs);
		if (status)
			return status;
		scope->id[0] = (uint64_t)regs.ebx << 32 | regs.eax;
	}
	snap->has[COUNT_EXITS] = true;
	snap->has[COUNT_HANDLE_CYCLES] = true;
	/* A host that does not count does not answer either. */
	snap->enabled = true;

	status = read_counts(&reader);
	if (status)
		return status;

	snapshot_finish(snap);
	return STATUS_OK;
}

/* Whether there are leaves is said when they are read. */
static unsigned int probe(const struct source_setup *setup, char *why,
			  size_t size)
{
	(void)setup;
	(void)why;
	(void)size;
	return cpuid_source.abilities;
}

static int read_cpuid(struct source *source, const struct exit_selection *sel,
		      struct exit_scan *scan)
{
	struct exit_scope *scope = scan_add(scan);

	(void)source;
	(void)sel;
	return scope ? read_leaves(scope) : out_of_memory();
}

const struct source_ops cpuid_source = {
	.name = "cpuid",
	.abilities = SOURCE_HOST | SOURCE_SINCE_LOAD | SOURCE_COUNTED |
		     SOURCE_FROM_INSIDE,
	.probe = probe,
	.read = read_cpuid,
};

const char *cpuid_isa(void)
{
	struct cpuid_regs regs = {};

	/* "AuthenticAMD", "HygonGenuine" or others; CPUID may fault. */
	query_cpuid(0, 0, &regs);
	return !memcmp(&regs.ebx, "Auth", 4) || !memcmp(&regs.ebx, "Hygo", 4) ?
		       "svm" :
		       "vmx";
}
