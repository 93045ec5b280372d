/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_SNAPSHOT_H
#define EXITSTAT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_NAME_SIZE 64
#define EXIT_WORD_SIZE 16
#define EXIT_VM_SIZE 32

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
	/* <pid>-<fd>, or empty: not one VM, or not known */
	char vm[EXIT_VM_SIZE];
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
};

/* For qsort(): by number, OTHER last. */
int exit_row_cmp(const void *a, const void *b);
/* Append a row that is all 0, or return NULL. */
struct exit_row *snapshot_add_row(struct exit_snapshot *snap);
/* Sort and sum up once all rows are there. False if two rows are alike. */
bool snapshot_finish(struct exit_snapshot *snap);
/* True if @counts has anything that is not 0. */
bool counts_any(const uint64_t *counts);
void snapshot_free(struct exit_snapshot *snap);

/*
 * The sources.  Each fills an all-0 snapshot and returns STATUS_OK, or tells
 * the user what is wrong and returns the program's status.
 */
/*
 * False if debugfs cannot be read by this user or has nothing, and @why then
 * gets a few words.  True leaves all other errors to those who read it.
 */
bool debugfs_is_readable(const char *debugfs, char *why, size_t size);
int debugfs_read_host(struct exit_snapshot *snap, const char *debugfs);
/* @id is <pid>-<fd>, or a <pid> that has one VM. */
int debugfs_read_vm(struct exit_snapshot *snap, const char *debugfs,
		    const char *id);
bool sysfs_is_there(const char *sysfs);
/* Tells the user that these are not debugfs's, and @why. */
int sysfs_read_host(struct exit_snapshot *snap, const char *sysfs,
		    const char *why);
int cpuid_read(struct exit_snapshot *snap);

/*
 * Parse the text of the kernel's file @path, which must be of @scope.  The text
 * is @len bytes, has a '\0' after them and is overwritten.
 */
int snapshot_parse(struct exit_snapshot *snap, const char *path,
		   const char *scope, char *text, size_t len);

#endif
