/* SPDX-License-Identifier: GPL-2.0 */
/* The instruction. In a file of its own, for tests to put a model instead. */
#ifndef SOURCE_CPUID_INSN_H
#define SOURCE_CPUID_INSN_H

#include <stdint.h>

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

void cpuid_insn(uint32_t leaf, uint32_t index, struct cpuid_regs *regs);

#endif
