/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_SNAPSHOT_H
#define EXITSTAT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_NAME_SIZE 64
#define EXIT_WORD_SIZE 16

/* What is counted of each reason. */
enum exit_counter {
	COUNT_EXITS,
	COUNT_HANDLE_CYCLES,
	/* Every source has those above; whether one has those below is told. */
	COUNT_USER_CYCLES,
	COUNT_WAIT_CYCLES,
	COUNT_PREEMPTED_CYCLES,
	COUNT_L2_EXITS,
	COUNT_L2_HANDLE_CYCLES,
	NR_COUNTS,
};

/* Their names: columns in debugfs, files in sysfs, fields in JSON. */
extern const char *const exit_count_names[NR_COUNTS];

struct exit_row {
	/* the row OTHER, which has no exit number */
	bool other;
	uint32_t reason;
	char name[EXIT_NAME_SIZE];
	uint64_t counts[NR_COUNTS];
};

/*
 * The counters at one moment, wherever they were read.  The rows are in the
 * order of their numbers, OTHER is the last, and no two are alike.
 */
struct exit_snapshot {
	char isa[EXIT_WORD_SIZE];
	char scope[EXIT_WORD_SIZE];
	uint32_t tsc_khz;
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
/* Append a row that is all 0, or return NULL. */
struct exit_row *snapshot_add_row(struct exit_snapshot *snap);
/* Sort and sum up once all rows are there. False if two rows are alike. */
bool snapshot_finish(struct exit_snapshot *snap);
/* The row with this number, or the row OTHER, or NULL. */
struct exit_row *snapshot_find_row(const struct exit_snapshot *snap, bool other,
				   uint32_t reason);
/*
 * Leave in @snap what was counted since @before.  False, and @snap as it was,
 * if counters went back: then it is not the same counters any more, and @snap
 * is all that was counted since they began.
 */
bool snapshot_subtract(struct exit_snapshot *snap,
		       const struct exit_snapshot *before);
/*
 * Add what was counted in @more.  False if there is no memory for it.
 */
bool snapshot_add(struct exit_snapshot *snap, const struct exit_snapshot *more);
/*
 * Leave the rows that any of @patterns means: a number, or a name or glob,
 * whatever its case.  The rest stays in what 100 % is.
 */
void snapshot_filter(struct exit_snapshot *snap, char *const *patterns,
		     size_t nr_patterns);
/* True if @counts has anything that is not 0. */
bool counts_any(const uint64_t *counts);
void snapshot_free(struct exit_snapshot *snap);

/* From counters of @tsc_khz to ns, rounded down.  0 if that is unknown. */
uint64_t cycles_to_ns(uint64_t cycles, uint32_t tsc_khz);

/*
 * Where the time of vCPUs went, in cycles.  Lost is what a vCPU that wanted to
 * run did not have: handle, user and preempted.  Wait is idle, not lost.
 */
struct exit_time {
	double guest, handle, user, wait, preempted;
};

/* False if the source does not tell all of it, or there is none. */
bool snapshot_time(const struct exit_snapshot *snap, struct exit_time *time);
double exit_time_lost(const struct exit_time *time);
/* The same as a counter, which wraps as the kernel's do. */
uint64_t exit_time_lost_cycles(const struct exit_time *time);
double exit_time_all(const struct exit_time *time);

/*
 * Parse the text of the kernel's file @path, which must be of @scope.  The text
 * is @len bytes, has a '\0' after them and is overwritten.
 */
int snapshot_parse(struct exit_snapshot *snap, const char *path,
		   const char *scope, char *text, size_t len);

#endif
