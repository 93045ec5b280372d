// SPDX-License-Identifier: GPL-2.0
/* As table_smartcols.c, for the static program: Debian has no libsmartcols.a */
#include <stdlib.h>
#include <string.h>

#include "output.h"

bool table_render(FILE *out, const struct table_column *columns,
		  size_t nr_columns, char (*cells)[TABLE_CELL_SIZE],
		  size_t nr_lines)
{
	int *widths = calloc(nr_columns, sizeof(*widths));
	size_t i, j;

	if (!widths)
		return false;

	for (j = 0; j < nr_columns; j++) {
		widths[j] = strlen(columns[j].name);
		for (i = 0; i < nr_lines; i++) {
			int width = strlen(cells[i * nr_columns + j]);

			if (width > widths[j])
				widths[j] = width;
		}
	}

	for (i = 0; i <= nr_lines; i++) {
		for (j = 0; j < nr_columns; j++) {
			const char *cell = i ? cells[(i - 1) * nr_columns + j] :
					       columns[j].name;

			fprintf(out, "%s%*s", j ? " " : "",
				columns[j].right ? widths[j] : -widths[j],
				cell);
		}
		fputc('\n', out);
	}

	free(widths);
	return true;
}
