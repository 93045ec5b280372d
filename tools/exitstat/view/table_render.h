/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What prints a table: table_smartcols.c, or table_plain.c where the program is
 * linked statically
 */
#ifndef VIEW_TABLE_RENDER_H
#define VIEW_TABLE_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table_heading {
	const char *name;
	bool right;
};

/*
 * Print cells that have a '\0' after each, @nr_columns to a line.  False if
 * memory runs out.
 */
bool table_render(FILE *out, const struct table_heading *headings,
		  size_t nr_columns, const char *cells, size_t nr_lines);

#endif
