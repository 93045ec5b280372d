/* SPDX-License-Identifier: GPL-2.0 */
/* Reasons and VMs as lines of a table. */
#ifndef VIEW_LINES_H
#define VIEW_LINES_H

#include "base/clock.h"
#include "model/scan.h"
#include "view/table.h"

/* The columns, whose names are stable. */
enum line_column {
	COL_TIME,
	COL_SECONDS,
	COL_SCOPE,
	COL_VM,
	COL_VM_NAME,
	COL_PID,
	COL_VCPU,
	COL_VCPUS,
	COL_REASON,
	COL_NAME,
	COL_EXITS,
	COL_EXITS_SHARE,
	COL_EXITS_RATE,
	COL_HANDLE,
	COL_HANDLE_AVERAGE,
	COL_HANDLE_SHARE,
	COL_USER,
	COL_WAIT,
	COL_PREEMPTED,
	COL_L2_EXITS,
	COL_L2_HANDLE,
	COL_GUEST,
	COL_LOST,
	COL_LOST_SHARE,
	/* of a reason: of all that is lost */
	COL_LOST_PART,
	/* the reason to which most is lost */
	COL_WORST,
	COL_FAILED_ENTRIES,
	COL_CLAMPED,
};

/* One reason of a scope, or all of them. */
struct exit_line {
	const struct exit_scan *scan;
	const struct exit_scope *scope;
	struct exit_row row;
	/* The row's counts; those of all reasons may have wrapped in there. */
	double part[NR_COUNTS];
	/* all reasons of the scope */
	bool total;
	bool ns;
	/* when the scan was, ISO 8601 */
	char time[TIME_SIZE];
};

/* Of one reason, and of a whole VM. */
extern const struct table reason_table_columns;
extern const struct table vm_table_columns;

/*
 * Does the source tell what the column shows?  Of nested guests, which most
 * hosts have not, only if there were any.
 */
bool column_is_useful(int id, const struct exit_snapshot *snap);
/* What its exits took from vCPUs that wanted to run; false if that is not known. */
bool line_lost(const struct exit_line *line, uint64_t *cycles);
/* A line for a row of @scope, or for all of them if that is NULL. */
void line_init(struct exit_line *line, const struct exit_scan *scan,
	       const struct exit_scope *scope, const struct exit_row *row,
	       bool ns);
/*
 * A line for each reason of @scope, sorted, with room for one more behind them.
 * NULL if there is no memory.  @sort may be NULL: by lost time, or where that is not
 * known, by handle time.
 */
struct exit_line *reason_lines(const struct exit_scan *scan,
			       const struct exit_scope *scope, const char *sort,
			       bool ns);
/* The same for each scope as a whole, without room for more. */
struct exit_line *scope_lines(const struct exit_scan *scan, const char *sort,
			      bool ns);

#endif
