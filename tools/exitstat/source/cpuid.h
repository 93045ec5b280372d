/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_CPUID_H
#define EXITSTAT_CPUID_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

/* The instruction. In a file of its own, for tests to put a model instead. */
void cpuid_insn(uint32_t leaf, uint32_t index, struct cpuid_regs *regs);

/* False if CPUID faults. */
bool cpuid_query(uint32_t leaf, uint32_t index, struct cpuid_regs *regs);

#endif
