// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "details/print.h"
#include "view/csv.h"

enum {
	COL_KEY,
	COL_NAME,
	COL_HOW,
	COL_EXITS,
	COL_EXITS_SHARE,
	COL_EXITS_RATE,
	COL_TIME,
	COL_TIME_SHARE,
	COL_AVERAGE,
	COL_RIP,
	COL_VM,
	COL_VM_NAME,
};

static const struct column columns[] = {
	{ COL_KEY, "KEY", NULL, "MSR, port, address, ... as the reason has it",
	  true },
	{ COL_NAME, "NAME", NULL, "what that is", true },
	{ COL_HOW, "HOW", NULL, "read, write, execute, doorbell", true },
	{ COL_EXITS, "EXITS", NULL, "VM-exits", false },
	{ COL_EXITS_SHARE, "%EXITS", NULL, "share of the reason's exits",
	  false },
	{ COL_EXITS_RATE, "EXITS/S", NULL, "VM-exits per second", false },
	{ COL_TIME, "TIME_NS", NULL, "from the exits to the next entries",
	  false },
	{ COL_TIME_SHARE, "%TIME", NULL, "share of all that time", false },
	{ COL_AVERAGE, "NS/EXIT", NULL, "that time of an exit, on average",
	  false },
	{ COL_RIP, "RIP", NULL, "address of the instruction in the guest",
	  false },
	{ COL_VM, "VM", NULL, "<pid>-<fd> of the VM", true },
	{ COL_VM_NAME, "VM_NAME", NULL, "what the operator calls it", true },
};

struct line {
	const struct details_view *view;
	const struct details_row *row;
	/* of all rows */
	const struct details_count *all;
	const struct exit_scope *vm;
	char vm_text[24];
	char key[DETAILS_TEXT_SIZE], name[DETAILS_TEXT_SIZE];
	char rip[24];
};

static void set_text(struct cell *cell, const char *text)
{
	if (!*text)
		return;
	cell->type = CELL_TEXT;
	cell->text = text;
}

static void set_u64(struct cell *cell, uint64_t value)
{
	cell->type = CELL_U64;
	cell->u64 = value;
}

static void set_ratio(struct cell *cell, int decimals, double part,
		      double whole)
{
	if (!(whole > 0))
		return;
	cell->type = CELL_REAL;
	cell->decimals = decimals;
	cell->real = part / whole;
}

static void get_cell(const void *data, int id, struct cell *cell)
{
	const struct line *line = data;
	const struct details_count *count = &line->row->count;

	switch (id) {
	case COL_KEY:
		set_text(cell, line->key);
		break;
	case COL_NAME:
		set_text(cell, line->name);
		break;
	case COL_HOW:
		if (!line->row->other)
			set_text(cell, details_kind_text(line->row->key.kind));
		break;
	case COL_EXITS:
		set_u64(cell, count->exits);
		cell->unit = UNIT_COUNT;
		break;
	case COL_EXITS_SHARE:
		set_ratio(cell, 2, 100.0 * count->exits, line->all->exits);
		break;
	case COL_EXITS_RATE:
		set_ratio(cell, 1, 1e9 * count->exits, line->view->interval);
		break;
	case COL_TIME:
		set_u64(cell, count->time);
		cell->unit = UNIT_TIME;
		break;
	case COL_TIME_SHARE:
		set_ratio(cell, 2, 100.0 * count->time, line->all->time);
		break;
	case COL_AVERAGE:
		set_ratio(cell, 0, count->time, count->exits);
		cell->unit = UNIT_TIME;
		break;
	case COL_RIP:
		set_text(cell, line->rip);
		break;
	case COL_VM:
		set_text(cell, line->vm ? line->vm->vm : line->vm_text);
		break;
	case COL_VM_NAME:
		if (line->vm)
			set_text(cell, line->vm->name);
		break;
	}
}

const struct table details_table = {
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.get = get_cell,
};

static int compare_keys(const void *a, const void *b)
{
	const struct details_row *x = a, *y = b;

	if (x->other != y->other)
		return x->other - y->other;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static int compare_exits(const void *a, const void *b)
{
	const struct details_row *x = a, *y = b;

	if (x->other != y->other)
		return x->other - y->other;
	if (x->count.exits != y->count.exits)
		return x->count.exits < y->count.exits ? 1 : -1;
	return compare_keys(a, b);
}

void details_merge(struct details_rows *rows, bool by_vm)
{
	size_t i, nr = 0;

	for (i = 0; i < rows->nr && !by_vm; i++)
		rows->rows[i].key.process = 0;
	if (rows->nr)
		qsort(rows->rows, rows->nr, sizeof(*rows->rows), compare_keys);
	for (i = 0; i < rows->nr; i++) {
		struct details_row *row = &rows->rows[i];
		struct details_row *last = nr ? &rows->rows[nr - 1] : NULL;

		if (last && !compare_keys(last, row)) {
			last->count.exits += row->count.exits;
			last->count.time += row->count.time;
		} else {
			rows->rows[nr++] = *row;
		}
	}
	rows->nr = nr;
}

void details_subtract(struct details_rows *rows,
		      const struct details_rows *before)
{
	const struct details_row *old;
	size_t i, nr = 0;

	for (i = 0; i < rows->nr; i++) {
		struct details_row row = rows->rows[i];

		old = before->nr ? bsearch(&row, before->rows, before->nr,
					   sizeof(row), compare_keys) :
				   NULL;
		if (old) {
			row.count.exits -= old->count.exits;
			row.count.time -= old->count.time;
		}
		if (row.count.exits)
			rows->rows[nr++] = row;
	}
	rows->nr = nr;
	rows->nr_missed -= before->nr_missed;
}

/* The VM of a process, if it has no other. */
static const struct exit_scope *find_vm(const struct exit_scan *vms,
					uint32_t process)
{
	const struct exit_scope *found = NULL;
	size_t i;

	for (i = 0; vms && i < vms->nr_scopes; i++) {
		if (vms->scopes[i].pid != process)
			continue;
		if (found && strcmp(found->vm, vms->scopes[i].vm))
			return NULL;
		found = &vms->scopes[i];
	}
	return found;
}

static void set_line(struct line *line, const struct details_view *view,
		     const struct details_row *row,
		     const struct details_count *all)
{
	*line = (struct line){ .view = view, .row = row, .all = all };
	if (row->other) {
		snprintf(line->key, sizeof(line->key), "OTHER");
		return;
	}
	if (view->of) {
		details_key_text(view->of, &row->key, line->key);
		details_key_name(view->of, &row->key, line->name);
	} else {
		snprintf(line->key, sizeof(line->key), "-");
	}
	if (view->rip)
		snprintf(line->rip, sizeof(line->rip), "0x%llx", row->key.rip);
	line->vm = find_vm(view->vms, row->key.process);
	if (view->vms && !line->vm)
		snprintf(line->vm_text, sizeof(line->vm_text), "%u",
			 row->key.process);
}

static void print_json(FILE *out, const struct details_view *view,
		       const struct line *lines, const struct line *total)
{
	char time[TIME_SIZE];
	struct json json;
	size_t i;

	time_format(view->realtime, time);
	json_begin(&json, out, JSON_COMPACT);
	json_put_object(&json, NULL);
	json_put_string(&json, "schema", "exitstat.details");
	json_put_u64(&json, "version", 1);
	json_put_string(&json, "time", time);
	json_put_real(&json, "seconds", view->interval / 1e9, 6);
	json_put_string(&json, "isa", view->isa);
	json_put_string(&json, "reason", view->reason);
	json_put_string(&json, "key", view->of ? view->of->key : "RIP");
	json_put_array(&json, "rows");
	for (i = 0; i < view->rows.nr; i++) {
		const struct line *line = &lines[i];
		const struct details_row *row = line->row;

		json_put_object(&json, NULL);
		json_put_string(&json, "key", line->key);
		json_put_known(&json, "value",
			       !row->other && row->key.kind != DETAILS_NONE,
			       row->key.value);
		if (*line->name)
			json_put_string(&json, "name", line->name);
		if (!row->other && *details_kind_text(row->key.kind))
			json_put_string(&json, "how",
					details_kind_text(row->key.kind));
		if (view->rip && !row->other)
			json_put_u64(&json, "rip", row->key.rip);
		if (view->vms && !row->other)
			json_put_u64(&json, "pid", row->key.process);
		if (line->vm) {
			json_put_string(&json, "vm", line->vm->vm);
			if (*line->vm->name)
				json_put_string(&json, "vm_name",
						line->vm->name);
		}
		json_put_u64(&json, "exits", row->count.exits);
		json_put_u64(&json, "time_ns", row->count.time);
		json_end(&json);
	}
	json_end(&json);
	json_put_object(&json, "total");
	json_put_u64(&json, "exits", total->all->exits);
	json_put_u64(&json, "time_ns", total->all->time);
	json_end(&json);
	json_put_u64(&json, "missed", view->rows.nr_missed);
	json_end(&json);
	fputc('\n', out);
}

static void init_layout(struct layout *layout, const struct details_view *view,
			const struct format *format, const struct line *lines)
{
	static const int ids[] = {
		COL_VM,		COL_VM_NAME,	COL_KEY,     COL_NAME,
		COL_HOW,	COL_RIP,	COL_EXITS,   COL_EXITS_SHARE,
		COL_EXITS_RATE, COL_TIME_SHARE, COL_AVERAGE, COL_TIME,
	};
	const bool csv = format->kind == FORMAT_CSV;
	bool names = csv, hows = csv;
	int useful[ARRAY_SIZE(ids) + 1];
	size_t i, nr = 0;

	for (i = 0; i < view->rows.nr; i++) {
		names |= *lines[i].name;
		hows |= !lines[i].row->other &&
			*details_kind_text(lines[i].row->key.kind);
	}
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		if (((ids[i] == COL_VM || ids[i] == COL_VM_NAME) &&
		     !view->vms) ||
		    (ids[i] == COL_RIP && !view->rip) ||
		    (ids[i] == COL_NAME && !names) ||
		    (ids[i] == COL_HOW && !hows))
			continue;
		useful[nr++] = ids[i];
	}
	useful[nr] = -1;
	layout_init(layout, &details_table, useful, format->columns, true);
	layout->scaled = format->scaled;
}

static bool print_table(FILE *out, const struct details_view *view,
			const struct layout *layout, const struct line *lines)
{
	fprintf(out, "%s%s%s: %s, %.3f s\n", view->reason,
		view->of ? " by " : "", view->of ? view->of->key : "",
		view->isa, view->interval / 1e9);
	return table_print(out, layout, lines, view->rows.nr + 1,
			   sizeof(*lines));
}

bool details_print(FILE *out, const struct details_view *view,
		   const struct format *format, bool *begun)
{
	const struct details_rows *rows = &view->rows;
	struct line *lines = calloc(rows->nr + 1, sizeof(*lines)), *total;
	struct details_row all = { .other = true };
	struct layout layout;
	bool done = true;
	size_t i;

	if (!lines)
		return false;
	if (rows->nr)
		qsort(rows->rows, rows->nr, sizeof(*rows->rows), compare_exits);
	for (i = 0; i < rows->nr; i++) {
		all.count.exits += rows->rows[i].count.exits;
		all.count.time += rows->rows[i].count.time;
		set_line(&lines[i], view, &rows->rows[i], &all.count);
	}
	total = &lines[rows->nr];
	set_line(total, view, &all, &all.count);
	snprintf(total->key, sizeof(total->key), "TOTAL");
	table_sort(&details_table, format->sort, lines, rows->nr,
		   sizeof(*lines));

	init_layout(&layout, view, format, lines);
	if (format->kind == FORMAT_JSON) {
		print_json(out, view, lines, total);
	} else if (format->kind == FORMAT_CSV) {
		if (!*begun)
			csv_print_head(out, &layout);
		csv_print_lines(out, &layout, lines, rows->nr, sizeof(*lines));
	} else {
		if (*begun)
			fputc('\n', out);
		done = print_table(out, view, &layout, lines);
	}
	*begun = true;
	free(lines);
	return done;
}
