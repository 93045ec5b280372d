/* SPDX-License-Identifier: GPL-2.0 */
/* How the user wants to see what was counted. */
#ifndef VIEW_FORMAT_H
#define VIEW_FORMAT_H

#include <stdbool.h>

struct recording_facts;

enum format_kind {
	FORMAT_TABLE,
	FORMAT_JSON,
	FORMAT_CSV,
	FORMAT_OPENMETRICS,
};

struct format {
	enum format_kind kind;
	/* times in ns, not in cycles; and whether the user said which */
	bool ns;
	bool units_given;
	/* times as people read them, 12.3 ms, and large numbers as 4.56 M */
	bool scaled;
	/* [+]LIST and [-]COLUMN, which were checked, or NULL */
	const char *columns;
	const char *sort;
	/* a line for a whole VM instead of one for each reason */
	bool list;
	/* There may be vCPUs among them. */
	bool vcpus;
	/* what a table is of, besides the scope, or NULL */
	const char *title;
	/* of the host on which it was recorded, or NULL */
	const struct recording_facts *facts;
};

#endif
