// SPDX-License-Identifier: GPL-2.0
/* The views of 'exitstat top': what is in them, and the way between them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/message.h"
#include "top/view.h"

/* What is most important comes first, as a screen may have room for no more. */
static const int reason_ids[] = {
	COL_REASON,	    COL_NAME,	  COL_LOST_PART,   COL_EXITS_RATE,
	COL_HANDLE_AVERAGE, COL_LOST,	  COL_EXITS_SHARE, COL_HANDLE_SHARE,
	COL_EXITS,	    COL_HANDLE,	  COL_USER,	   COL_WAIT,
	COL_PREEMPTED,	    COL_L2_EXITS, COL_L2_HANDLE,   -1,
};

static const int vm_ids[] = {
	COL_VM,		COL_VM_NAME, COL_VCPUS, COL_EXITS_RATE,
	COL_LOST_SHARE, COL_WORST,   COL_LOST,	COL_EXITS,
	COL_GUEST,	COL_HANDLE,  COL_USER,	COL_WAIT,
	COL_PREEMPTED,	-1,
};

static const int vcpu_ids[] = {
	COL_VCPU,  COL_EXITS_RATE, COL_LOST_SHARE, COL_LOST, COL_EXITS,
	COL_GUEST, COL_HANDLE,	   COL_USER,	   COL_WAIT, COL_PREEMPTED,
	-1,
};

bool top_has_reasons(const struct top *top)
{
	return top->view != VIEW_VMS && top->view != VIEW_VCPUS;
}

void top_say(struct top *top, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(top->message, sizeof(top->message), fmt, ap);
	va_end(ap);
}

struct exit_scope *top_scope(const struct top *top,
			     const struct exit_scan *scan)
{
	switch (top->view) {
	case VIEW_VM:
	case VIEW_VCPUS:
		return feed_find(scan, &top->vm);
	case VIEW_VCPU:
		return feed_find(scan, &top->vcpu);
	default:
		return feed_first(scan);
	}
}

static const struct table *view_table(enum top_view view)
{
	return view == VIEW_VMS || view == VIEW_VCPUS ? &vm_table_columns :
							&reason_table_columns;
}

/*
 * The user's columns that are in this table, as not all are in both.  NULL if
 * none is.
 */
static const char *own_columns(const struct table *table, const char *columns,
			       char *own, size_t size)
{
	size_t len, out = 0;

	if (!columns)
		return NULL;
	if (*columns == '+')
		own[out++] = *columns++;

	for (;; columns += len + 1) {
		len = strcspn(columns, ",");
		if (table_find(table, columns, len) && out + len + 2 < size) {
			memcpy(own + out, columns, len);
			out += len;
			own[out++] = ',';
		}
		if (!columns[len])
			break;
	}
	if (!out || own[out - 1] != ',')
		return NULL;
	own[out - 1] = '\0';
	return own;
}

static void init_layout(struct top *top)
{
	const struct table *table = view_table(top->view);
	const int *ids = top_has_reasons(top)  ? reason_ids :
			 top->view == VIEW_VMS ? vm_ids :
						 vcpu_ids;
	/* All that was ever counted, so that columns do not come and go. */
	const struct exit_snapshot *snap = &feed_first(&top->feed.now)->snap;
	int useful[MAX_COLUMNS];
	char own[1024];
	size_t nr = 0;

	for (; *ids >= 0; ids++) {
		if (column_is_useful(*ids, snap))
			useful[nr++] = *ids;
	}
	useful[nr] = -1;
	layout_init(&top->layout, table, useful,
		    own_columns(table, top->options->format.columns, own,
				sizeof(own)),
		    top->ns);
	top->layout.scaled = top->scaled;
}

static const struct column *column_of(const struct table *table, int id)
{
	size_t i;

	for (i = 0; i < table->nr_columns; i++) {
		if (table->columns[i].id == id)
			return &table->columns[i];
	}
	return NULL;
}

void top_init_views(struct top *top)
{
	const struct exit_snapshot *snap = &feed_first(&top->feed.now)->snap;
	const char *sort = top->options->format.sort;
	size_t i;

	for (i = 0; i < NR_VIEWS; i++) {
		struct view_state *view = &top->views[i];
		const struct table *table = view_table(i);
		int id = column_is_useful(COL_LOST_PART, snap) ?
				 COL_LOST_PART :
				 COL_HANDLE_SHARE;

		view->parent = i;
		if (table == &vm_table_columns)
			id = column_is_useful(COL_LOST, snap) ? COL_LOST :
								COL_EXITS;
		view->sort = column_of(table, id);
		if (sort) {
			const char *name = sort + (*sort == '-');
			const struct column *column =
				table_find(table, name, strlen(name));

			if (column) {
				view->sort = column;
				view->reverse = *sort == '-';
			}
		}
	}
}

/* By its number or name, as the user sees them. */
static bool line_matches(const struct exit_line *line, const char *filter)
{
	static const int ids[] = { COL_REASON, COL_NAME, COL_VM, COL_VM_NAME,
				   COL_VCPU };
	const bool reason = !line->total;
	char text[CELL_SIZE];
	size_t i;

	for (i = reason ? 0 : 2; i < (reason ? 2 : ARRAY_SIZE(ids)); i++) {
		struct cell cell = {};

		/* All lines of vCPUs have the name of the same VM. */
		if (line->scope->kind == SCOPE_VCPU && !reason &&
		    ids[i] != COL_VCPU)
			continue;
		reason_table_columns.get(line, ids[i], &cell);
		if (cell.type == CELL_NONE)
			continue;
		cell_format(&cell, text, sizeof(text));
		if (strcasestr(text, filter))
			return true;
	}
	return false;
}

/* A line for each VM, or each vCPU of one. */
static struct exit_line *vm_lines(const struct top *top, size_t *nr)
{
	const struct exit_scan *scan = &top->feed.shown;
	struct exit_line *lines = calloc(scan->nr_scopes + 1, sizeof(*lines));
	size_t i;

	*nr = 0;
	for (i = 0; lines && i < scan->nr_scopes; i++) {
		const struct exit_scope *scope = &scan->scopes[i];

		if (top->view == VIEW_VMS ?
			    scope->kind != SCOPE_VM :
			    scope->kind != SCOPE_VCPU ||
				    strcmp(scope->vm, top->vm.vm))
			continue;
		line_init(&lines[(*nr)++], scan, scope, NULL, top->ns);
	}
	return lines;
}

static struct exit_line *view_lines(const struct top *top, size_t *nr)
{
	const struct exit_scan *scan = &top->feed.shown;
	const struct exit_scope *scope = top_scope(top, scan);

	if (!top_has_reasons(top))
		return vm_lines(top, nr);
	*nr = scope ? scope->snap.nr_rows : 0;
	return scope ? reason_lines(scan, scope, NULL, top->ns) :
		       calloc(1, sizeof(struct exit_line));
}

static bool is_followed(const struct top *top, const struct exit_line *line)
{
	const struct view_state *view = &top->views[top->view];

	if (top_has_reasons(top))
		return line->row.other == view->other &&
		       line->row.reason == view->reason;
	return scope_is_same(line->scope, &view->scope);
}

static void follow(struct top *top)
{
	struct view_state *view = &top->views[top->view];
	const struct exit_line *line = top_line(top);

	/* The histogram stays with its reason on the first line, too. */
	view->follows = line && (view->cursor || top->histogram);
	if (!view->follows)
		return;
	view->other = line->row.other;
	view->reason = line->row.reason;
	scope_copy_empty(&view->scope, line->scope);
}

/* Keep the cursor on the lines, and its line on the screen. */
static void place_cursor(struct top *top)
{
	struct view_state *view = &top->views[top->view];
	size_t i;

	for (i = 0; view->follows && i < top->nr_lines; i++) {
		if (is_followed(top, &top->lines[i])) {
			view->cursor = i;
			break;
		}
	}
	if (view->cursor >= top->nr_lines)
		view->cursor = top->nr_lines ? top->nr_lines - 1 : 0;

	if (view->first + top->page > top->nr_lines)
		view->first = top->nr_lines > top->page ?
				      top->nr_lines - top->page :
				      0;
	if (view->cursor < view->first)
		view->first = view->cursor;
	if (top->page && view->cursor >= view->first + top->page)
		view->first = view->cursor - top->page + 1;
}

void top_update_lines(struct top *top)
{
	struct view_state *view = &top->views[top->view];
	char sort[EXIT_NAME_SIZE];
	size_t i, nr, all;

	init_layout(top);
	free(top->lines);
	top->nr_lines = 0;
	top->lines = view_lines(top, &all);
	if (!top->lines) {
		top->quit = true;
		top->status = STATUS_ERROR;
		top_say(top, "out of memory");
		return;
	}

	for (i = 0, nr = 0; i < all; i++) {
		if (!*view->filter ||
		    line_matches(&top->lines[i], view->filter))
			top->lines[nr++] = top->lines[i];
	}
	top->nr_lines = nr;
	top->nr_filtered = all - nr;

	snprintf(sort, sizeof(sort), "%s%s", view->reverse ? "-" : "",
		 view->sort->name);
	table_sort(top->layout.table, sort, top->lines, nr,
		   sizeof(*top->lines));
	place_cursor(top);
}

struct exit_line *top_line(const struct top *top)
{
	const size_t cursor = top->views[top->view].cursor;

	return cursor < top->nr_lines ? &top->lines[cursor] : NULL;
}

void top_move(struct top *top, long lines)
{
	struct view_state *view = &top->views[top->view];
	const long last = (long)top->nr_lines - 1;
	long cursor = (long)view->cursor + lines;

	if (cursor > last)
		cursor = last;
	view->cursor = cursor > 0 ? cursor : 0;
	follow(top);
	top_update_lines(top);
}

void top_hurry(struct top *top)
{
	const uint64_t first = top->interval < FIRST_INTERVAL ? top->interval :
								FIRST_INTERVAL;

	loop_set_timer(&top->loop, first, top->interval);
}

/* Read as much as is shown. */
static void set_details(struct top *top)
{
	struct feed_details details = {
		.vms = top->view != VIEW_HOST,
		.host_latency = top->histogram && top->view == VIEW_HOST,
		.vm_latency = top->histogram && top->view == VIEW_VM,
		.vcpu_latency = top->histogram && top->view == VIEW_VCPU,
	};

	if (top->view == VIEW_VM || top->view == VIEW_VCPUS ||
	    top->view == VIEW_VCPU)
		strcpy(details.vm, top->vm.vm);
	/* There may be no more to read. */
	if (!(top->feed.source->abilities & (SOURCE_VMS | SOURCE_LATENCY)))
		return;
	if (!feed_set_details(&top->feed, &details, !top->frozen))
		top_hurry(top);
}

void top_open(struct top *top, enum top_view view, enum top_view parent)
{
	if (view != VIEW_HOST && !top->feed.sel.vms) {
		top_say(top, "%s", top->feed.no_vms);
		return;
	}
	top->view = view;
	top->views[view].parent = parent;
	top->histogram = false;
	set_details(top);
	top_check_ended(top);
	top_update_lines(top);
}

/* Another VM's or vCPU's view begins at its top. */
static void open_scope(struct top *top, struct exit_scope *which,
		       const struct exit_scope *scope, enum top_view view)
{
	struct view_state *state = &top->views[view];

	if (!scope_is_same(which, scope)) {
		state->cursor = state->first = 0;
		state->follows = false;
		memset(state->widths, 0, sizeof(state->widths));
	}
	scope_copy_empty(which, scope);
	top_open(top, view, top->view);
}

void top_enter(struct top *top)
{
	const struct exit_line *line = top_line(top);

	if (!line)
		return;
	if (top->view == VIEW_VMS)
		open_scope(top, &top->vm, line->scope, VIEW_VM);
	else if (top->view == VIEW_VCPUS)
		open_scope(top, &top->vcpu, line->scope, VIEW_VCPU);
	else
		top_show_histogram(top, true);
}

void top_open_vcpus(struct top *top)
{
	const struct exit_line *line = top_line(top);

	if (top->view == VIEW_VMS && line)
		open_scope(top, &top->vm, line->scope, VIEW_VCPUS);
	else if (top->view == VIEW_VCPU)
		top_open(top, VIEW_VCPUS, top->views[VIEW_VCPUS].parent);
	else if (*top->vm.vm && top->view != VIEW_VCPUS)
		top_open(top, VIEW_VCPUS,
			 top->view == VIEW_VM ? VIEW_VM : VIEW_VMS);
	else if (!top->feed.sel.vms)
		top_say(top, "%s", top->feed.no_vms);
	else if (!*top->vm.vm)
		top_say(top, "first choose a VM: 2, then Enter");
}

void top_back(struct top *top)
{
	struct view_state *view = &top->views[top->view];

	if (top->histogram)
		top_show_histogram(top, false);
	else if (*view->filter) {
		*view->filter = '\0';
		top_update_lines(top);
	} else if (view->parent != top->view) {
		top_open(top, view->parent, top->views[view->parent].parent);
	}
}

void top_check_ended(struct top *top)
{
	const struct exit_scan *scan = &top->feed.now;
	const bool of_vm = top->view == VIEW_VM || top->view == VIEW_VCPUS ||
			   top->view == VIEW_VCPU;
	char label[SCOPE_LABEL_SIZE];

	/* What stands on a frozen screen may be gone. */
	if (!of_vm || top->frozen)
		return;

	if (!feed_find(scan, &top->vm)) {
		scope_label(&top->vm, label);
		top_open(top, VIEW_VMS, VIEW_VMS);
		top_say(top, "%s has ended", label);
		top->vm = (struct exit_scope){};
	} else if (top->view == VIEW_VCPU && !feed_find(scan, &top->vcpu)) {
		top_open(top, VIEW_VCPUS, top->views[VIEW_VCPUS].parent);
		top_say(top, "vCPU %" PRIu32 " is gone", top->vcpu.vcpu);
	}
}

void top_show_histogram(struct top *top, bool show)
{
	if (show && top->feed.source->abilities & SOURCE_FROM_INSIDE) {
		top_say(top, "a guest cannot see how long single exits took");
		return;
	}
	if (show && !top_has_reasons(top)) {
		top_say(top, "first choose a reason of exits: Enter, then l");
		return;
	}
	if (show && !top_line(top)) {
		top_say(top, "there is no exit whose time could be shown");
		return;
	}
	top->histogram = show;
	top->histogram_first = 0;
	follow(top);
	set_details(top);
	top_update_lines(top);
}

void top_move_sort(struct top *top, int step)
{
	struct view_state *view = &top->views[top->view];
	const long nr = top->layout.nr_columns;
	long i;

	for (i = 0; i < nr; i++) {
		if (top->layout.columns[i] == view->sort)
			break;
	}
	i = i < nr ? i + step : 0;
	if (i < 0 || i >= nr)
		return;
	view->sort = top->layout.columns[i];
	view->reverse = false;
	top_update_lines(top);
}
