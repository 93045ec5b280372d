/* SPDX-License-Identifier: GPL-2.0 */
/* Comparing what was counted at two times or places, reason by reason. */
#ifndef DIFF_COMPARE_H
#define DIFF_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "diff/side.h"
#include "source/select.h"
#include "view/format.h"

/* One reason, or all of them. */
struct diff_line {
	bool total;
	/* lost time is known of both */
	bool has_lost;
	struct exit_row row;
	/* how long was counted, ns, 0 if that is not known of both */
	uint64_t interval[2];
	uint64_t exits[2], handle[2], lost[2];
	/* all of these */
	double all_exits[2], all_handle[2], all_lost[2];
};

struct diff {
	const struct diff_side *sides;
	/* times in ns, not in cycles */
	bool ns;
	/* lost time is known of both */
	bool has_lost;
	/* the counters of B are those of A, later */
	bool continued;
	/* those that changed most come first, and the last one is the total */
	struct diff_line *lines;
	size_t nr_lines;
};

/*
 * Compare two sides, of which what @sel leaves out goes.  STATUS_OK, or the
 * program's status after a message.  Free it in any case.
 */
int diff_compare(struct diff *diff, struct diff_side *sides,
		 const struct format *format, const struct exit_selection *sel);
void diff_compare_free(struct diff *diff);

/*
 * The next fact of A, from the @i-th on, of which B has another value: that, and the
 * number behind it in *@i; or NULL.  What only one of them has is no difference.
 */
const struct recording_fact *diff_next_fact(const struct diff *diff, size_t *i,
					    const char **of_b);
/* Of @line's exits or handle: per second if that is known. */
double diff_rate(const struct diff_line *line, const uint64_t *values,
		 int side);
/* The time of an exit, on average. */
double diff_average(const struct diff_line *line, int side);
/* How much more in %.  False if it was nothing before. */
bool diff_change(double before, double after, double *percent);

#endif
