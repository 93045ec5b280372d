/* SPDX-License-Identifier: GPL-2.0 */
/* Comparing what was counted at two times or places. */
#ifndef DIFF_DIFF_H
#define DIFF_DIFF_H

#include <stdio.h>

#include "cmd/options.h"

/* One of the two files. */
struct diff_side {
	const char *path;
	/* what of it: the first of the scopes that were added up, and how many */
	struct exit_scope scope;
	size_t nr_scopes;
	/* how long was counted, or 0 for since the counters began */
	double seconds;
	/* times in @scope are ns, not cycles */
	bool ns;
};

/* One reason, or all of them. */
struct diff_line {
	bool total;
	struct exit_row row;
	/* how long was counted, 0 if that is not known of both */
	double seconds[2];
	double exits[2], handle[2];
	/* all of these */
	double all_exits[2], all_handle[2];
};

/*
 * Read a recording, or JSON of 'exitstat show'.  STATUS_OK, or the program's
 * status after a message.  Free it in any case.
 */
int diff_read(struct diff_side *side, const char *path,
	      const struct arguments *args);
void diff_free(struct diff_side *side);

/* How much more in %.  False if it was nothing before. */
bool diff_change(double before, double after, double *percent);

struct diff_output {
	const struct arguments *args;
	const struct diff_side *sides;
	bool ns;
	/* the counters of B are those of A, later */
	bool continued;
	/* the last one is the total */
	struct diff_line *lines;
	size_t nr_lines;
};

extern const struct table diff_table;

/* The formats.  False if memory runs out. */
bool diff_print_table(FILE *out, const struct diff_output *output);
bool diff_print_csv(FILE *out, const struct diff_output *output);
bool diff_print_json(FILE *out, const struct diff_output *output);
bool diff_print_metrics(FILE *out, const struct diff_output *output);

#endif
