// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/message.h"
#include "view/table.h"
#include "view/table_render.h"

void table_print_columns(const struct table *table, FILE *out)
{
	size_t i;

	fputs("\nColumns:\n", out);
	for (i = 0; i < table->nr_columns; i++)
		fprintf(out, "  %-25s %s\n", table->columns[i].name,
			table->columns[i].help);
}

static bool is_named(const char *column, const char *name, size_t len)
{
	return column && strlen(column) == len &&
	       !strncasecmp(column, name, len);
}

const struct column *table_find(const struct table *table, const char *name,
				size_t len)
{
	size_t i;

	for (i = 0; i < table->nr_columns; i++) {
		const struct column *column = &table->columns[i];

		if (is_named(column->name, name, len) ||
		    is_named(column->ns_name, name, len))
			return column;
	}
	return NULL;
}

static const char *skip(const char *text, char c)
{
	return *text == c ? text + 1 : text;
}

int table_check(const struct table *table, const char *columns,
		const char *sort, const char *command)
{
	size_t len, nr = 0;
	const char *name;

	if (sort) {
		name = skip(sort, '-');
		if (!table_find(table, name, strlen(name)))
			return fail(
				STATUS_USAGE,
				"unknown column '%s', see 'exitstat %s --help'",
				name, command);
	}
	if (!columns)
		return STATUS_OK;

	for (name = skip(columns, '+');; name += len + 1) {
		len = strcspn(name, ",");
		if (!table_find(table, name, len))
			return fail(
				STATUS_USAGE,
				"unknown column '%.*s', see 'exitstat %s --help'",
				(int)len, name, command);
		if (++nr > MAX_COLUMNS / 2)
			return fail(STATUS_USAGE, "more than %d columns",
				    MAX_COLUMNS / 2);
		if (!name[len])
			return STATUS_OK;
	}
}

static void add_column(struct layout *layout, const struct column *column)
{
	size_t i;

	for (i = 0; i < layout->nr_columns; i++) {
		if (layout->columns[i] == column)
			return;
	}
	if (layout->nr_columns < MAX_COLUMNS)
		layout->columns[layout->nr_columns++] = column;
}

void layout_init(struct layout *layout, const struct table *table,
		 const int *ids, const char *columns, bool ns)
{
	size_t i, len;

	*layout = (struct layout){ .table = table, .ns = ns };

	for (; (!columns || *columns == '+') && *ids >= 0; ids++) {
		for (i = 0; i < table->nr_columns; i++) {
			if (table->columns[i].id == *ids)
				add_column(layout, &table->columns[i]);
		}
	}
	if (!columns)
		return;

	for (columns = skip(columns, '+');; columns += len + 1) {
		len = strcspn(columns, ",");
		add_column(layout, table_find(table, columns, len));
		if (!columns[len])
			break;
	}
}

void layout_heading(const struct layout *layout, size_t column, char *heading)
{
	const struct column *c = layout->columns[column];
	const char *name = layout->ns && c->ns_name ? c->ns_name : c->name;
	const size_t len = strlen(name);

	/* Each value then has its own unit. */
	if (layout->scaled && !strncmp(name, "NS/", 3))
		snprintf(heading, CELL_SIZE, "TIME/%s", name + 3);
	else if (layout->scaled && len > 3 && !strcmp(name + len - 3, "_NS"))
		snprintf(heading, CELL_SIZE, "%.*s", (int)len - 3, name);
	else
		snprintf(heading, CELL_SIZE, "%s", name);
}

static int compare_cells(const struct cell *x, const struct cell *y)
{
	double p, q;

	if (x->type == CELL_TEXT && y->type == CELL_TEXT)
		return strverscmp(x->text, y->text);
	/* Counters are more exact than a double. */
	if (x->type == CELL_U64 && y->type == CELL_U64)
		return (x->u64 < y->u64) - (x->u64 > y->u64);
	if (x->type == CELL_I64 && y->type == CELL_I64)
		return (x->i64 < y->i64) - (x->i64 > y->i64);
	p = x->type == CELL_U64 ? x->u64 : x->real;
	q = y->type == CELL_U64 ? y->u64 : y->real;
	return (p < q) - (p > q);
}

int table_compare(const struct table *table, const struct column *column,
		  bool reverse, const void *a, const void *b)
{
	struct cell x = {}, y = {};
	int order;

	table->get(a, column->id, &x);
	table->get(b, column->id, &y);
	if (x.type == CELL_NONE || y.type == CELL_NONE)
		return (x.type == CELL_NONE) - (y.type == CELL_NONE);
	if ((x.type == CELL_TEXT) != (y.type == CELL_TEXT))
		return 0;
	order = compare_cells(&x, &y);
	return reverse ? -order : order;
}

struct sorting {
	const struct table *table;
	const struct column *column;
	bool reverse;
};

static int compare_lines(const void *a, const void *b, void *data)
{
	const struct sorting *sorting = data;

	return table_compare(sorting->table, sorting->column, sorting->reverse,
			     a, b);
}

void table_sort(const struct table *table, const char *sort, void *lines,
		size_t nr, size_t size)
{
	struct sorting sorting = { .table = table };

	if (!sort || !nr)
		return;

	sorting.reverse = *sort == '-';
	sort = skip(sort, '-');
	sorting.column = table_find(table, sort, strlen(sort));
	/* glibc's is a merge sort: what is equal stays in its order. */
	qsort_r(lines, nr, size, compare_lines, &sorting);
}

void cell_format(const struct cell *cell, char *text, size_t size)
{
	switch (cell->type) {
	case CELL_NONE:
		snprintf(text, size, "-");
		break;
	case CELL_TEXT:
		snprintf(text, size, "%s", cell->text);
		break;
	case CELL_U64:
		snprintf(text, size, "%" PRIu64, cell->u64);
		break;
	case CELL_I64:
		snprintf(text, size, "%" PRId64, cell->i64);
		break;
	case CELL_REAL:
		snprintf(text, size, "%.*f", cell->decimals, cell->real);
		break;
	}
}

/* 1.23, 12.3, 123 */
static int decimals_of(double value)
{
	return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

static void format_time(double ns, char *text, size_t size)
{
	/* Not where a terminal has no such letter. */
	const char *const units[] = { "ns", MB_CUR_MAX > 1 ? "\u00b5s" : "us",
				      "ms", "s" };
	size_t unit = 0;

	if (!(ns > 0)) {
		snprintf(text, size, "0");
		return;
	}
	while (unit < ARRAY_SIZE(units) - 1 && ns >= 999.5) {
		ns /= 1000;
		unit++;
	}
	snprintf(text, size, "%.*f %s", unit ? decimals_of(ns) : 0, ns,
		 units[unit]);
}

static void format_count(double value, char *text, size_t size)
{
	static const char units[] = "kMGTPE";
	int unit = -1;

	while (units[unit + 1] && value >= 999.5) {
		value /= 1000;
		unit++;
	}
	snprintf(text, size, "%.*f %c", decimals_of(value), value,
		 units[unit < 0 ? 0 : unit]);
}

void cell_format_scaled(const struct cell *cell, char *text, size_t size)
{
	const double value = cell->type == CELL_U64  ? (double)cell->u64 :
			     cell->type == CELL_REAL ? cell->real :
						       0;

	if (cell->unit == UNIT_TIME && cell->type != CELL_NONE)
		format_time(value, text, size);
	else if (cell->unit == UNIT_COUNT && value > 99999.5)
		format_count(value, text, size);
	else
		cell_format(cell, text, size);
}

static void print_cells(FILE *out, const struct layout *layout,
			const void *line)
{
	char text[CELL_SIZE];
	size_t i;

	for (i = 0; i < layout->nr_columns; i++) {
		struct cell cell = {};

		layout->table->get(line, layout->columns[i]->id, &cell);
		if (layout->scaled)
			cell_format_scaled(&cell, text, sizeof(text));
		else
			cell_format(&cell, text, sizeof(text));
		fwrite(text, 1, strlen(text) + 1, out);
	}
}

bool table_print(FILE *out, const struct layout *layout, const void *lines,
		 size_t nr, size_t size)
{
	char names[MAX_COLUMNS][CELL_SIZE];
	struct table_heading headings[MAX_COLUMNS];
	char *cells = NULL;
	size_t i, len;
	FILE *memory = open_memstream(&cells, &len);
	bool ok = false;

	if (!memory)
		return false;

	for (i = 0; i < layout->nr_columns; i++) {
		layout_heading(layout, i, names[i]);
		headings[i] = (struct table_heading){
			.name = names[i],
			.right = !layout->columns[i]->text,
		};
	}
	for (i = 0; i < nr; i++)
		print_cells(memory, layout, (const char *)lines + i * size);

	ok = !ferror(memory);
	ok = !fclose(memory) && ok;
	if (ok)
		ok = table_render(out, headings, layout->nr_columns, cells, nr);
	free(cells);
	return ok;
}
