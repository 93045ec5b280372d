/* SPDX-License-Identifier: GPL-2.0 */
/* The counters of one scope at one moment, wherever they were read. */
#ifndef MODEL_SNAPSHOT_H
#define MODEL_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/time.h"

#define EXIT_NAME_SIZE 64
#define EXIT_WORD_SIZE 16

struct exit_row {
	/* the row OTHER, which has no exit number */
	bool other;
	uint32_t reason;
	char name[EXIT_NAME_SIZE];
	uint64_t counts[NR_COUNTS];
};

/*
 * The rows are in the order of their numbers, OTHER is the last, and no two are
 * alike.
 */
struct exit_snapshot {
	char isa[EXIT_WORD_SIZE];
	/* of all times in here */
	struct exit_clock clock;
	bool enabled;
	/* failed_entries and clamped are known */
	bool has_faults;
	uint64_t failed_entries;
	uint64_t clamped;
	bool has_guest_cycles;
	uint64_t guest_cycles;
	/* those that are known, in all rows or in none */
	bool has[NR_COUNTS];
	struct exit_row *rows;
	size_t nr_rows;
	/*
	 * Sums over the rows.  As in the kernel they wrap, which the cycles of
	 * a large host do within some years.
	 */
	uint64_t total[NR_COUNTS];
	/*
	 * What 100 % is: sums over the rows, those that were filtered out
	 * included, which do not wrap.
	 */
	double whole[NR_COUNTS];
};

/* For qsort(): by number, OTHER last. */
int exit_row_cmp(const void *a, const void *b);
/* Append a row that is all 0, or return NULL if memory runs out. */
struct exit_row *snapshot_add_row(struct exit_snapshot *snap);
/* Sort and sum up once all rows are there. False if two rows are alike. */
bool snapshot_finish(struct exit_snapshot *snap);
/* The row with this number, or the row OTHER, or NULL. */
struct exit_row *snapshot_find_row(const struct exit_snapshot *snap, bool other,
				   uint32_t reason);
/*
 * Leave in @snap what was counted since @before.  False, and @snap as it was,
 * if counters went back or have another clock: then it is not the same counters
 * any more, and @snap is all that was counted since they began.
 */
bool snapshot_subtract(struct exit_snapshot *snap,
		       const struct exit_snapshot *before);
/* Tell its times by another clock; both are known. */
void snapshot_translate(struct exit_snapshot *snap,
			const struct exit_clock *clock);
/*
 * Add what was counted in @more, by the same clock.  False if there is no memory
 * for it.
 */
bool snapshot_add(struct exit_snapshot *snap, const struct exit_snapshot *more);
/* Leave what was known of it, but nothing that was counted.  Frees nothing. */
void snapshot_clear(struct exit_snapshot *snap);
/*
 * Leave the rows that any of @patterns means: a number, or a name or glob,
 * whatever its case.  The rest stays in what 100 % is.
 */
void snapshot_filter(struct exit_snapshot *snap, char *const *patterns,
		     size_t nr_patterns);
/* Were there exits of nested guests? */
bool snapshot_has_l2(const struct exit_snapshot *snap);
bool snapshot_has_phase(const struct exit_snapshot *snap,
			enum exit_phase phase);
/* False if the source does not tell all of it, or there is none. */
bool snapshot_time(const struct exit_snapshot *snap, struct exit_time *time);
void snapshot_free(struct exit_snapshot *snap);

#endif
