// SPDX-License-Identifier: GPL-2.0
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "view/table_render.h"

static bool fill(struct libscols_table *table,
		 const struct table_heading *headings, size_t nr_columns,
		 const char *cells, size_t nr_lines)
{
	size_t i, j;

	for (j = 0; j < nr_columns; j++) {
		if (!scols_table_new_column(table, headings[j].name, 0,
					    headings[j].right ? SCOLS_FL_RIGHT :
								0))
			return false;
	}

	for (i = 0; i < nr_lines; i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);

		if (!line)
			return false;
		for (j = 0; j < nr_columns; j++) {
			if (scols_line_set_data(line, j, cells))
				return false;
			cells += strlen(cells) + 1;
		}
	}
	return true;
}

bool table_render(FILE *out, const struct table_heading *headings,
		  size_t nr_columns, const char *cells, size_t nr_lines)
{
	struct libscols_table *table = scols_new_table();
	bool ok;

	if (!table)
		return false;

	ok = !scols_table_set_stream(table, out) &&
	     fill(table, headings, nr_columns, cells, nr_lines) &&
	     !scols_print_table(table);
	/* It prints nothing of a table without lines. */
	if (ok && !nr_lines) {
		size_t j;

		for (j = 0; j < nr_columns; j++)
			fprintf(out, "%s%s", j ? " " : "", headings[j].name);
		fputc('\n', out);
	}

	scols_unref_table(table);
	return ok;
}
