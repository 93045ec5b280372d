// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "view/csv.h"

/* RFC 4180, and nothing that a spreadsheet would take for a formula. */
static void print_csv_text(FILE *out, const char *text)
{
	bool formula = *text && strchr("=+-@", *text);

	if (!formula && !strpbrk(text, ",\"\r\n")) {
		fputs(text, out);
		return;
	}

	fputs(formula ? "\"'" : "\"", out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

void csv_print_head(FILE *out, const struct layout *layout)
{
	char heading[CELL_SIZE];
	size_t i;

	for (i = 0; i < layout->nr_columns; i++) {
		layout_heading(layout, i, heading);
		fprintf(out, "%s%s", i ? "," : "", heading);
	}
	fputs("\r\n", out);
}

void csv_print_lines(FILE *out, const struct layout *layout, const void *lines,
		     size_t nr, size_t size)
{
	char text[CELL_SIZE];
	size_t i, j;

	for (i = 0; i < nr; i++) {
		for (j = 0; j < layout->nr_columns; j++) {
			struct cell cell = {};

			layout->table->get((const char *)lines + i * size,
					   layout->columns[j]->id, &cell);
			if (j)
				fputc(',', out);
			if (cell.type == CELL_TEXT) {
				print_csv_text(out, cell.text);
			} else if (cell.type != CELL_NONE) {
				cell_format(&cell, text, sizeof(text));
				fputs(text, out);
			}
		}
		fputs("\r\n", out);
	}
}
