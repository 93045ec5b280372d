// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/message.h"
#include "details/print.h"
#include "model/reasons_x86.h"
#include "top/details.h"
#include "top/screen.h"
#include "top/view.h"

struct top_details {
	struct details *details;
	struct details_view view;
	struct details_rows before;
	char name[EXIT_NAME_SIZE];
	uint64_t since;
	/* the table, a line behind the other */
	char *text;
	size_t len;
};

void top_close_details(struct top *top)
{
	struct top_details *d = top->details;

	if (!d)
		return;
	details_detach(d->details);
	free(d->before.rows);
	free(d->text);
	free(d);
	top->details = NULL;
}

void top_open_details(struct top *top)
{
	const struct exit_line *line = top_line(top);
	const struct reason_table *table;
	struct details_wanted wanted = {};
	struct top_details *d;
	char why[MESSAGE_SIZE];
	uint32_t process;
	int status;

	if (!top_has_reasons(top) || !line || line->row.other) {
		top_say(top, "choose a reason first");
		return;
	}
	table = reasons_of(line->scope->snap.isa);
	d = calloc(1, sizeof(*d));
	if (!d || !table) {
		free(d);
		top_say(top, "there are no details here");
		return;
	}
	strcpy(d->name, line->row.name);
	d->view = (struct details_view){
		.of = details_of_reason(table, line->row.reason),
		.isa = table->isa,
		.reason = d->name,
	};
	wanted.reason = line->row.reason;
	wanted.is_svm = table == &svm_reasons;
	/* Without a key the place in the guest is what there is. */
	d->view.rip = wanted.rip = !d->view.of;
	wanted.from = d->view.of ? d->view.of->from : 0;
	if (line->scope->kind != SCOPE_HOST && line->scope->pid) {
		process = line->scope->pid;
		wanted.processes = &process;
		wanted.nr_processes = 1;
	}
	capture_messages(why, sizeof(why));
	status = details_attach(&d->details, &wanted);
	capture_messages(NULL, 0);
	d->since = clock_now(CLOCK_MONOTONIC);
	top->details = d;
	if (status) {
		top_close_details(top);
		top_say(top, "%s", why);
	}
}

void top_update_details(struct top *top)
{
	static const struct format format = { .kind = FORMAT_TABLE };
	struct top_details *d = top->details;
	const uint64_t now = clock_now(CLOCK_MONOTONIC);
	struct details_rows rows, all;
	bool begun = false;
	FILE *out;

	if (!d || top->frozen || !details_read(d->details, &rows))
		return;
	details_merge(&rows, false);
	all = rows;
	all.rows = calloc(rows.nr + 1, sizeof(*all.rows));
	if (!all.rows) {
		free(rows.rows);
		return;
	}
	memcpy(all.rows, rows.rows, rows.nr * sizeof(*all.rows));
	details_subtract(&rows, &d->before);
	free(d->before.rows);
	d->before = all;
	d->view.rows = rows;
	d->view.interval = now - d->since;
	d->since = now;

	free(d->text);
	d->text = NULL;
	out = open_memstream(&d->text, &d->len);
	if (out) {
		details_print(out, &d->view, &format, &begun);
		fclose(out);
	}
	free(rows.rows);
}

void top_draw_details(const struct top *top, int y, int height)
{
	const struct top_details *d = top->details;
	const char *at = d->text, *end;
	char line[LINE_SIZE];
	int i;

	if (!at) {
		top_put(y, 1, -1, A_NORMAL, "looking \u2026");
		return;
	}
	for (i = 0; i < height && *at; i++, at = *end ? end + 1 : end) {
		end = strchrnul(at, '\n');
		snprintf(line, sizeof(line), "%.*s", (int)(end - at), at);
		/* What it is of, and the headings. */
		top_put(y + i, 0, -1,
			i == 1 ? top_attributes(top, INK_HEADING) :
				 (int)A_NORMAL,
			line);
	}
}
