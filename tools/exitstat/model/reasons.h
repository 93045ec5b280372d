/* SPDX-License-Identifier: GPL-2.0 */
/* Exit reasons by their numbers, a table of each ISA. */
#ifndef MODEL_REASONS_H
#define MODEL_REASONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reason {
	uint32_t nr;
	const char *name;
};

/* How much there is to an exit number. */
enum reason_state {
	/* The architecture has no such exit. */
	REASON_UNDEFINED,
	/* It has, but KVM can never see it. */
	REASON_UNSEEN,
	REASON_DEFINED,
};

struct reason_range {
	uint32_t first, last;
	enum reason_state state;
};

struct reason_table {
	const char *isa;
	/* the exit number of CPUID itself */
	uint32_t cpuid;
	const struct reason *reasons;
	size_t nr_reasons;
	/*
	 * All numbers up to the last defined one, ascending, with those from -1
	 * downwards as unsigned ones.  All others are undefined.
	 */
	const struct reason_range *ranges;
	size_t nr_ranges;
	/* how many numbers it has from -1, which is 0xffffffff, downwards */
	uint32_t nr_negative;
};

/* One for each ISA, and NULL. */
extern const struct reason_table *const reason_tables[];

/* NULL if this program knows no such ISA. */
const struct reason_table *reasons_of(const char *isa);
/* The kernel's name of an exit number, or NULL.  @table may be NULL. */
const char *reason_name(const struct reason_table *table, uint32_t nr);
/*
 * The same without blanks, as KVM's own files have it, which is one name for
 * every source; UNKNOWN_n if it has none.  Into EXIT_NAME_SIZE bytes.
 */
void reason_label(char *label, const struct reason_table *table, uint32_t nr);
/* Does the user's @pattern mean it: a number, or a name or glob of any case? */
bool reason_matches(uint32_t nr, const char *name, const char *pattern);

#endif
