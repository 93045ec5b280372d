/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_REASONS_H
#define EXITSTAT_REASONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reason {
	uint32_t nr;
	const char *name;
};

struct reason_table {
	const char *isa;
	/* the exit number of CPUID itself */
	uint32_t cpuid;
	const struct reason *reasons;
	size_t nr_reasons;
	/* how many numbers it has from -1, which is 0xffffffff, downwards */
	uint32_t nr_negative;
};

extern const struct reason_table vmx_reasons;
extern const struct reason_table svm_reasons;

/* The kernel's name of an exit number, or NULL. */
const char *reason_name(const struct reason_table *table, uint32_t nr);

#endif
