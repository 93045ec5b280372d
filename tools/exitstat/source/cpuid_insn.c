// SPDX-License-Identifier: GPL-2.0
#include <cpuid.h>

#include "source/cpuid_insn.h"

void cpuid_insn(uint32_t leaf, uint32_t index, struct cpuid_regs *regs)
{
	__cpuid_count(leaf, index, regs->eax, regs->ebx, regs->ecx, regs->edx);
}
