// SPDX-License-Identifier: GPL-2.0
#include <libsmartcols.h>

#include "output.h"

static bool fill(struct libscols_table *table,
		 const struct table_column *columns, size_t nr_columns,
		 char (*cells)[TABLE_CELL_SIZE], size_t nr_lines)
{
	size_t i, j;

	for (j = 0; j < nr_columns; j++) {
		if (!scols_table_new_column(table, columns[j].name, 0,
					    columns[j].right ? SCOLS_FL_RIGHT :
							       0))
			return false;
	}

	for (i = 0; i < nr_lines; i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);

		if (!line)
			return false;
		for (j = 0; j < nr_columns; j++) {
			if (scols_line_set_data(line, j,
						cells[i * nr_columns + j]))
				return false;
		}
	}
	return true;
}

bool table_render(FILE *out, const struct table_column *columns,
		  size_t nr_columns, char (*cells)[TABLE_CELL_SIZE],
		  size_t nr_lines)
{
	struct libscols_table *table = scols_new_table();
	bool ok;

	if (!table)
		return false;

	ok = !scols_table_set_stream(table, out) &&
	     fill(table, columns, nr_columns, cells, nr_lines) &&
	     !scols_print_table(table);

	scols_unref_table(table);
	return ok;
}
