/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_TSC_H
#define SHIM_TSC_H

/* Without a fence, as the kernel's. */
static __always_inline u64 rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}

#endif
