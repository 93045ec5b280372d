// SPDX-License-Identifier: GPL-2.0
/*
 * A model of what a host answers to CPUID, in place of cpuid_insn.c
 *
 * The file $CPUID_MODEL has one setting per line, see struct model.  As on a
 * real host each CPUID is an exit that is counted before it is answered, and
 * whose cycles are charged after.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/cpuid_insn.h"

#define MAX_ROWS 256
#define CYCLES_OF_CPUID 1000

struct row {
	uint32_t nr;
	uint64_t exits, cycles;
	/* exits per CPUID that another vCPU makes meanwhile */
	uint64_t noise;
};

static struct model {
	/* signature of the leaves from 0x40000000 and from 0x40000100 on */
	char hypervisor[2][13];
	uint32_t leaves, top, abi, end, svm, host, khz;
	/* the number of the CPUID that faults, counted from 1 */
	uint32_t fault;
	/* 0 is a kernel without; and the CPUID before which the VM is moved */
	uint32_t generation, move;
	struct row rows[MAX_ROWS];
	size_t nr_rows;
	struct row other;
} model;

static void set(char *line)
{
	static const struct {
		const char *name;
		uint32_t *value;
	} numbers[] = {
		{ "leaves", &model.leaves },
		{ "top", &model.top },
		{ "abi", &model.abi },
		{ "end", &model.end },
		{ "svm", &model.svm },
		{ "host", &model.host },
		{ "khz", &model.khz },
		{ "fault", &model.fault },
		{ "generation", &model.generation },
		{ "move", &model.move },
	};
	struct row row = {};
	char name[16];
	size_t i;
	int at;

	if (sscanf(line, "row %" SCNu32 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &row.nr, &row.exits, &row.cycles, &row.noise) >= 3) {
		model.rows[model.nr_rows++] = row;
		return;
	}
	if (sscanf(line, "other %" SCNu64 " %" SCNu64, &row.exits,
		   &row.cycles) == 2) {
		model.other = row;
		return;
	}
	if (sscanf(line, "hypervisor%zu %12s", &i, name) == 2) {
		strcpy(model.hypervisor[i], name);
		return;
	}
	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (sscanf(line, "%15s %n", name, &at) == 1 &&
		    !strcmp(name, numbers[i].name)) {
			*numbers[i].value = strtoul(line + at, NULL, 0);
			return;
		}
	}
	fprintf(stderr, "bad line in $CPUID_MODEL: %s\n", line);
	abort();
}

static void load(void)
{
	FILE *file = fopen(getenv("CPUID_MODEL"), "r");
	char line[128];

	while (fgets(line, sizeof(line), file))
		set(line);
	fclose(file);
}

static bool defined(uint32_t nr)
{
	if (model.svm)
		return nr <= 0xa5 || (nr >= 0x400 && nr <= 0x403) ||
		       nr >= 0xfffffffe;
	return nr < 86 && nr != 35 && nr != 38 && nr != 42 && nr != 71 &&
	       nr != 82 && nr != 83;
}

static struct row *find(uint32_t nr)
{
	static struct row empty;
	size_t i;

	for (i = 0; i < model.nr_rows; i++) {
		if (model.rows[i].nr == nr)
			return &model.rows[i];
	}
	return &empty;
}

static struct row sum(void)
{
	struct row sum = model.other;
	size_t i;

	for (i = 0; i < model.nr_rows; i++) {
		sum.exits += model.rows[i].exits;
		sum.cycles += model.rows[i].cycles;
	}
	return sum;
}

static void put_signature(struct cpuid_regs *regs, const char *text)
{
	memcpy(&regs->ebx, text, 4);
	memcpy(&regs->ecx, text + 4, 4);
	memcpy(&regs->edx, text + 8, 4);
}

static void answer(uint32_t leaf, uint32_t nr, struct cpuid_regs *regs)
{
	struct row row;

	if (leaf == 1) {
		regs->ecx = *model.hypervisor[0] ? 1u << 31 : 0;
		return;
	}
	if (leaf == 0x40000000 || leaf == 0x40000100) {
		put_signature(regs, model.hypervisor[leaf >> 8 & 1]);
		return;
	}
	if (leaf < 0x4fffff00 || !model.leaves) {
		/* what an Intel guest sees */
		*regs = (struct cpuid_regs){ 7, 0x340, 0x340, 0 };
		return;
	}

	switch (leaf) {
	case 0x4fffff00:
		regs->eax = model.top;
		put_signature(regs, "KVMExitStats");
		return;
	case 0x4fffff01:
		if (model.generation && nr == 1) {
			regs->eax = regs->ebx = model.generation;
			return;
		}
		regs->eax = model.abi;
		regs->ebx = model.end;
		regs->ecx = model.svm | model.host << 1 |
			    (model.generation ? 4 : 0);
		regs->edx = model.khz;
		return;
	case 0x4ffffffc:
	case 0x4ffffffd:
		if (!defined(nr)) {
			regs->edx = 0xffffffff;
			return;
		}
		row = *find(nr);
		break;
	default:
		row = sum();
		break;
	}

	/* exits in EBX:EAX, cycles in EBX:ECX */
	if (leaf & 1) {
		regs->eax = row.exits;
		regs->ebx = row.exits >> 32;
	} else {
		regs->ebx = row.cycles >> 32;
		regs->ecx = row.cycles;
	}
}

void cpuid_insn(uint32_t leaf, uint32_t index, struct cpuid_regs *regs)
{
	static uint32_t nr_cpuids;
	size_t i;

	if (!nr_cpuids++)
		load();

	/* HLT at CPL 3 faults as a CPUID does that is made to fault. */
	if (nr_cpuids == model.fault)
		asm volatile("hlt");

	for (i = 0; i < model.nr_rows; i++)
		model.rows[i].exits += model.rows[i].noise;
	if (nr_cpuids == model.move) {
		model.generation++;
		for (i = 0; i < model.nr_rows; i++)
			model.rows[i].exits = model.rows[i].cycles = 0;
	}
	find(model.svm ? 0x72 : 10)->exits++;

	memset(regs, 0, sizeof(*regs));
	answer(leaf, index, regs);

	find(model.svm ? 0x72 : 10)->cycles += CYCLES_OF_CPUID;
}
