/* SPDX-License-Identifier: GPL-2.0 */
/* The keys of a reason's exits as a table, as CSV and as JSON. */
#ifndef DETAILS_PRINT_H
#define DETAILS_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "details/attach.h"
#include "details/keys.h"
#include "model/scan.h"
#include "view/format.h"
#include "view/table.h"

/* What was seen of a reason in some time. */
struct details_view {
	/* NULL if nothing but the place in the guest tells its exits apart */
	const struct details_of *of;
	const char *isa, *reason;
	bool rip;
	/* rows of each VM by itself, with those that there were */
	const struct exit_scan *vms;
	/* ns; CLOCK_REALTIME at its end */
	uint64_t interval, realtime;
	struct details_rows rows;
};

extern const struct table details_table;

/* Rows that only differ in what is not shown become one; most exits come first. */
void details_merge(struct details_rows *rows, bool by_vm);
/* Leave in @rows what came since @before.  Both are merged. */
void details_subtract(struct details_rows *rows,
		      const struct details_rows *before);
/* False if memory runs out.  @begun: something was printed before. */
bool details_print(FILE *out, const struct details_view *view,
		   const struct format *format, bool *begun);

#endif
