// SPDX-License-Identifier: GPL-2.0
/* As table_smartcols.c, for the static program: Debian has no libsmartcols.a */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "view/table_render.h"

/* How many places on a terminal. */
static int width_of(const char *text)
{
	mbstate_t state = {};
	const char *p = text;
	size_t chars = mbsrtowcs(NULL, &p, 0, &state);

	return chars == (size_t)-1 ? strlen(text) : chars;
}

static void print_cell(FILE *out, const char *text, int width, bool right,
		       bool last)
{
	int blanks = width - width_of(text);

	if (right)
		fprintf(out, "%*s%s", blanks, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : blanks, "");
}

bool table_render(FILE *out, const struct table_heading *headings,
		  size_t nr_columns, const char *cells, size_t nr_lines)
{
	int *widths = calloc(nr_columns + 1, sizeof(*widths));
	const char *cell = cells;
	size_t i, j;

	if (!widths)
		return false;

	for (j = 0; j < nr_columns; j++)
		widths[j] = strlen(headings[j].name);
	for (i = 0; i < nr_lines; i++) {
		for (j = 0; j < nr_columns; j++) {
			int width = width_of(cell);

			if (width > widths[j])
				widths[j] = width;
			cell += strlen(cell) + 1;
		}
	}

	cell = cells;
	for (i = 0; i <= nr_lines; i++) {
		for (j = 0; j < nr_columns; j++) {
			if (j)
				fputc(' ', out);
			print_cell(out, i ? cell : headings[j].name, widths[j],
				   headings[j].right, j == nr_columns - 1);
			if (i)
				cell += strlen(cell) + 1;
		}
		fputc('\n', out);
	}

	free(widths);
	return true;
}
