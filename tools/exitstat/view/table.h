/* SPDX-License-Identifier: GPL-2.0 */
/* Tables of any kind: which columns, in which order, and how they look. */
#ifndef VIEW_TABLE_H
#define VIEW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "model/scope.h"

/* A name, and what stands around it. */
#define CELL_SIZE (VM_NAME_SIZE + 32)

enum cell_type {
	/* there is no such number, shown as "-" */
	CELL_NONE,
	CELL_TEXT,
	CELL_U64,
	CELL_I64,
	CELL_REAL,
};

enum cell_unit {
	UNIT_NONE,
	UNIT_COUNT,
	UNIT_TIME,
};

struct cell {
	enum cell_type type;
	/* of a real number */
	int decimals;
	/* Whether it may be scaled; a time is in ns if that is what the table has. */
	enum cell_unit unit;
	union {
		const char *text;
		uint64_t u64;
		int64_t i64;
		double real;
	};
};

struct column {
	int id;
	/* Stable; what it is called if times are in ns, or NULL for the same. */
	const char *name;
	const char *ns_name;
	const char *help;
	/* aligned left, sorted from A to Z */
	bool text;
};

struct table {
	const struct column *columns;
	size_t nr_columns;
	/* the cell of a line */
	void (*get)(const void *line, int id, struct cell *cell);
};

#define MAX_COLUMNS 48

/* The columns that are shown. */
struct layout {
	const struct table *table;
	const struct column *columns[MAX_COLUMNS];
	size_t nr_columns;
	bool ns;
	/* for people: see struct format */
	bool scaled;
};

/* The columns, for a help text. */
void table_print_columns(const struct table *table, FILE *out);
/* Complain of names that @table does not have.  NULL is valid. */
int table_check(const struct table *table, const char *columns,
		const char *sort, const char *command);
/*
 * Begin with the columns of @ids, which ends with -1, or with those that the
 * user named instead (or, with '+', in addition).  The names were checked.
 */
void layout_init(struct layout *layout, const struct table *table,
		 const int *ids, const char *columns, bool ns);
/* The heading of a column, into CELL_SIZE bytes. */
void layout_heading(const struct layout *layout, size_t column, char *heading);
/*
 * Sort @nr lines of @size bytes by [-]COLUMN: numbers from the largest, texts
 * from A.  Lines without a value come last.
 */
void table_sort(const struct table *table, const char *sort, void *lines,
		size_t nr, size_t size);
/* Compare two lines by one column, as table_sort() does. */
int table_compare(const struct table *table, const struct column *column,
		  bool reverse, const void *a, const void *b);
/* A column by its name, in any case and either unit; or NULL. */
const struct column *table_find(const struct table *table, const char *name,
				size_t len);

void cell_format(const struct cell *cell, char *text, size_t size);
/* The same for people: three digits, and a unit of times, which are in ns. */
void cell_format_scaled(const struct cell *cell, char *text, size_t size);
/* False if memory runs out. */
bool table_print(FILE *out, const struct layout *layout, const void *lines,
		 size_t nr, size_t size);

#endif
