// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>

#include "view/csv.h"
#include "view/lines.h"
#include "view/scan_csv.h"

/* A file of values is for programs, so it always has the same columns. */
static const int csv_reason_ids[] = {
	COL_TIME, COL_SECONDS, COL_SCOPE,     COL_VM,	    COL_VM_NAME,
	COL_VCPU, COL_REASON,  COL_NAME,      COL_EXITS,    COL_HANDLE,
	COL_USER, COL_WAIT,    COL_PREEMPTED, COL_L2_EXITS, COL_L2_HANDLE,
	COL_LOST, -1,
};

static const int csv_vm_ids[] = {
	COL_TIME,    COL_SECONDS, COL_SCOPE, COL_VM,	    COL_VM_NAME,
	COL_VCPU,    COL_VCPUS,	  COL_EXITS, COL_GUEST,	    COL_LOST,
	COL_HANDLE,  COL_USER,	  COL_WAIT,  COL_PREEMPTED, COL_FAILED_ENTRIES,
	COL_CLAMPED, COL_WORST,	  -1,
};

bool print_scan_csv(FILE *out, const struct format *format,
		    const struct exit_scan *scan, bool *begun)
{
	const struct table *table = format->list ? &vm_table_columns :
						   &reason_table_columns;
	struct exit_line *lines;
	struct layout layout;
	size_t i;

	layout_init(&layout, table, format->list ? csv_vm_ids : csv_reason_ids,
		    format->columns, format->ns);
	if (!*begun)
		csv_print_head(out, &layout);
	*begun = true;

	if (format->list) {
		lines = scope_lines(scan, format->sort, format->ns);
		if (!lines)
			return false;
		csv_print_lines(out, &layout, lines, scan->nr_scopes,
				sizeof(*lines));
		free(lines);
		return true;
	}

	for (i = 0; i < scan->nr_scopes; i++) {
		lines = reason_lines(scan, &scan->scopes[i], format->sort,
				     format->ns);
		if (!lines)
			return false;
		csv_print_lines(out, &layout, lines,
				scan->scopes[i].snap.nr_rows, sizeof(*lines));
		free(lines);
	}
	return true;
}
