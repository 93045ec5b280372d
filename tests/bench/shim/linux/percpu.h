/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_PERCPU_H
#define SHIM_PERCPU_H

/*
 * The instructions that the kernel has for it: a pointer to per-CPU data is an
 * offset to gs.  Here each thread is a CPU and sets its gs, see native.c.
 */
#define this_cpu_add(pcp, value)					\
do {									\
	_Static_assert(sizeof(pcp) == 8, "only counters of 64 bits");	\
	asm volatile("addq %1, %%gs:%0"					\
		     : "+m"(pcp) : "re"((u64)(value)));			\
} while (0)

#define this_cpu_inc(pcp)						\
do {									\
	_Static_assert(sizeof(pcp) == 8, "only counters of 64 bits");	\
	asm volatile("incq %%gs:%0" : "+m"(pcp));			\
} while (0)

#define this_cpu_dec(pcp)						\
do {									\
	_Static_assert(sizeof(pcp) == 8, "only counters of 64 bits");	\
	asm volatile("decq %%gs:%0" : "+m"(pcp));			\
} while (0)

#endif
