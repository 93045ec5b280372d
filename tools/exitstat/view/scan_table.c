// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "recording/format.h"
#include "view/lines.h"
#include "view/scan_table.h"

#define FACTS_WIDTH 78

static const int reason_ids[] = {
	COL_REASON,    COL_NAME,	 COL_LOST_PART,	 COL_LOST,
	COL_EXITS,     COL_EXITS_SHARE,	 COL_EXITS_RATE, COL_HANDLE_AVERAGE,
	COL_HANDLE,    COL_HANDLE_SHARE, COL_USER,	 COL_WAIT,
	COL_PREEMPTED, COL_L2_EXITS,	 COL_L2_HANDLE,	 -1,
};

static const int vm_ids[] = {
	COL_VM,		COL_VM_NAME,	COL_VCPU,      COL_VCPUS, COL_EXITS,
	COL_EXITS_RATE, COL_LOST_SHARE, COL_WORST,     COL_GUEST, COL_HANDLE,
	COL_USER,	COL_WAIT,	COL_PREEMPTED, -1,
};

/* Begin with the columns that have something to say here. */
static void init_layout(struct layout *layout, const struct format *format,
			const struct table *table, const int *ids,
			const struct exit_scan *scan,
			const struct exit_snapshot *snap)
{
	int useful[MAX_COLUMNS];
	size_t nr = 0;

	for (; *ids >= 0; ids++) {
		if ((*ids == COL_EXITS_RATE && !scan->interval) ||
		    (*ids == COL_VCPU && !format->vcpus) ||
		    !column_is_useful(*ids, snap))
			continue;
		useful[nr++] = *ids;
	}
	useful[nr] = -1;
	layout_init(layout, table, useful, format->columns, format->ns);
	layout->scaled = format->scaled;
}

static void print_heading(FILE *out, const struct format *format,
			  const struct exit_scan *scan,
			  const struct exit_scope *scope)
{
	const struct exit_snapshot *snap = &scope->snap;
	char label[SCOPE_LABEL_SIZE], time[TIME_SIZE];
	char clock[CLOCK_LABEL_SIZE];

	scope_label(scope, label);
	clock_label(&snap->clock, clock);
	if (format->title)
		fprintf(out, "%s, ", format->title);
	fprintf(out, "%s: %s, %s", label, snap->isa, clock);
	if (scan->interval) {
		fprintf(out, ", %.3f s",
			scan_scope_interval(scan, scope) / 1e9);
		if (scan->realtime && !format->title) {
			time_format(scan->realtime, time);
			fprintf(out, " until %s", time);
		}
	}
	if (scan->interval && scope->is_new)
		fputs(", new", out);
	if (snap->failed_entries)
		fprintf(out, ", failed entries %" PRIu64, snap->failed_entries);
	if (snap->clamped)
		fprintf(out, ", clamped %" PRIu64, snap->clamped);
	if (!snap->nr_rows && !(snap->whole[COUNT_EXITS] > 0))
		fputs(scan->interval ? ", no exits" : ", no exits so far", out);
	if (*scan->source)
		fprintf(out, ", from %s", scan->source);
	fputc('\n', out);
}

/* What became of the vCPUs' time. */
static void print_time(FILE *out, const struct exit_snapshot *snap)
{
	struct exit_time time;
	enum exit_phase p;

	if (!snapshot_time(snap, &time))
		return;

	for (p = 0; p < NR_PHASES; p++)
		fprintf(out, "%s %s %.2f %%",
			p ? "," : "vCPU time:", exit_phase_names[p],
			100 / exit_time_all(&time) * time.phases[p]);
	fputc('\n', out);
}

static bool print_reasons(FILE *out, const struct format *format,
			  const struct exit_scan *scan,
			  const struct exit_scope *scope, bool *begun)
{
	const size_t nr = scope->snap.nr_rows;
	struct exit_line *lines =
		reason_lines(scan, scope, format->sort, format->ns);
	struct layout layout;
	bool ok;

	if (!lines)
		return false;

	line_init(&lines[nr], scan, scope, NULL, format->ns);
	if (*begun)
		fputc('\n', out);
	*begun = true;
	print_heading(out, format, scan, scope);
	print_time(out, &scope->snap);
	init_layout(&layout, format, &reason_table_columns, reason_ids, scan,
		    &scope->snap);
	ok = table_print(out, &layout, lines, nr + 1, sizeof(*lines));
	free(lines);
	return ok;
}

static bool print_vms(FILE *out, const struct format *format,
		      const struct exit_scan *scan, bool *begun)
{
	/* They may have different ones, and a list is to have the same. */
	static const struct exit_snapshot all = {
		.has_guest_cycles = true,
		.has = { [0 ... NR_COUNTS - 1] = true },
	};
	/* Who loses most comes first; vCPUs stay with their VM. */
	const char *sort = format->sort || format->vcpus ? format->sort :
							   "LOST_CYCLES";
	struct exit_line *lines = scope_lines(scan, sort, format->ns);
	struct layout layout;
	bool ok;

	if (!lines)
		return false;

	if (*begun)
		fputc('\n', out);
	*begun = true;
	init_layout(&layout, format, &vm_table_columns, vm_ids, scan, &all);
	ok = table_print(out, &layout, lines, scan->nr_scopes, sizeof(*lines));
	free(lines);
	return ok;
}

/* In lines below each other: cpu AMD EPYC, clock tsc, halt_poll_ns 200000 */
static void print_facts(FILE *out, const struct recording_facts *facts)
{
	const char *group, *name;
	size_t i, len = 0, more;

	for (i = 0; i < facts->nr; i++) {
		const struct recording_fact *fact = &facts->facts[i];

		/* Of mitigations a page tells, and JSON. */
		group = strchr(fact->name, '.');
		if (!strncmp(fact->name, "mitigations.", 12))
			continue;
		name = group ? group + 1 : fact->name;
		more = text_width(name) + text_width(fact->value) + 3;
		if (!len) {
			fputs("\nrecorded with ", out);
			len = strlen("recorded with ");
		} else if (len + more > FACTS_WIDTH) {
			fputs(",\n  ", out);
			len = 2;
		} else {
			fputs(", ", out);
		}
		fprintf(out, "%s %s", name, fact->value);
		len += more;
	}
	if (len)
		fputc('\n', out);
}

bool print_scan_table(FILE *out, const struct format *format,
		      const struct exit_scan *scan, bool *begun)
{
	size_t i;

	if (format->list)
		return print_vms(out, format, scan, begun);

	for (i = 0; i < scan->nr_scopes; i++) {
		if (!print_reasons(out, format, scan, &scan->scopes[i], begun))
			return false;
	}
	if (format->facts)
		print_facts(out, format->facts);
	return true;
}
