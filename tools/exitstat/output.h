/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_OUTPUT_H
#define EXITSTAT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "snapshot.h"

struct output_format {
	/* False if it ran out of memory. */
	bool (*print)(FILE *out, const struct exit_snapshot *snap);
};

enum output_format_index {
	OUTPUT_TABLE,
	OUTPUT_JSON,
};

extern const struct output_format *const output_formats[];
extern const struct output_format table_format;
extern const struct output_format json_format;

/* The end of every command that shows a snapshot. */
int output_snapshot(const struct output_format *format,
		    const struct exit_snapshot *snap);

/*
 * What prints a table's cells, @nr_columns to a line: libsmartcols, or a plain
 * loop where the program is linked statically.
 */
#define TABLE_CELL_SIZE EXIT_NAME_SIZE

struct table_column {
	const char *name;
	bool right;
};

bool table_render(FILE *out, const struct table_column *columns,
		  size_t nr_columns, char (*cells)[TABLE_CELL_SIZE],
		  size_t nr_lines);

#endif
