// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/message.h"
#include "base/replace.h"
#include "view/lines.h"
#include "view/output.h"

static const int reason_ids[] = {
	COL_REASON,	COL_NAME,   COL_EXITS,		COL_EXITS_SHARE,
	COL_EXITS_RATE, COL_HANDLE, COL_HANDLE_AVERAGE, COL_HANDLE_SHARE,
	COL_USER,	COL_WAIT,   COL_PREEMPTED,	COL_L2_EXITS,
	COL_L2_HANDLE,	-1,
};

static const int vm_ids[] = {
	COL_VM,		COL_VM_NAME,	COL_VCPU,  COL_VCPUS,  COL_EXITS,
	COL_EXITS_RATE, COL_LOST_SHARE, COL_GUEST, COL_HANDLE, COL_USER,
	COL_WAIT,	COL_PREEMPTED,	-1,
};

/* A file of values is for programs, so it always has the same columns. */
static const int csv_reason_ids[] = {
	COL_TIME,      COL_SECONDS,  COL_SCOPE,	    COL_VM,
	COL_VM_NAME,   COL_VCPU,     COL_REASON,    COL_NAME,
	COL_EXITS,     COL_HANDLE,   COL_USER,	    COL_WAIT,
	COL_PREEMPTED, COL_L2_EXITS, COL_L2_HANDLE, -1,
};

static const int csv_vm_ids[] = {
	COL_TIME,    COL_SECONDS, COL_SCOPE, COL_VM,	    COL_VM_NAME,
	COL_VCPU,    COL_VCPUS,	  COL_EXITS, COL_GUEST,	    COL_LOST,
	COL_HANDLE,  COL_USER,	  COL_WAIT,  COL_PREEMPTED, COL_FAILED_ENTRIES,
	COL_CLAMPED, -1,
};

/* Begin with the columns that have something to say here. */
static void init_layout(struct layout *layout, const struct output *output,
			const struct table *table, const int *ids,
			const struct exit_scan *scan,
			const struct exit_snapshot *snap)
{
	int useful[MAX_COLUMNS];
	size_t nr = 0;

	for (; *ids >= 0; ids++) {
		if ((*ids == COL_EXITS_RATE && !scan->interval) ||
		    (*ids == COL_VCPU && !output->args->vcpus) ||
		    !column_is_useful(*ids, snap))
			continue;
		useful[nr++] = *ids;
	}
	useful[nr] = -1;
	layout_init(layout, table, useful, output->args->columns,
		    output->args->ns);
}

static void print_heading(FILE *out, const struct output *output,
			  const struct exit_scan *scan,
			  const struct exit_scope *scope)
{
	const struct exit_snapshot *snap = &scope->snap;
	char label[SCOPE_LABEL_SIZE], time[TIME_SIZE];

	scope_label(scope, label);
	if (output->title)
		fprintf(out, "%s, ", output->title);
	fprintf(out, "%s: %s, TSC %" PRIu32 ".%03" PRIu32 " MHz", label,
		snap->isa, snap->tsc_khz / 1000, snap->tsc_khz % 1000);
	if (scan->interval) {
		fprintf(out, ", %.3f s", scan->interval / 1e9);
		if (scan->realtime && !output->title) {
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

static bool print_reasons(FILE *out, struct output *output,
			  const struct exit_scan *scan,
			  const struct exit_scope *scope)
{
	const struct arguments *args = output->args;
	const size_t nr = scope->snap.nr_rows;
	struct exit_line *lines =
		reason_lines(scan, scope, args->sort, args->ns);
	struct layout layout;
	bool ok;

	if (!lines)
		return false;

	line_init(&lines[nr], scan, scope, NULL, args->ns);
	if (output->nr_printed++)
		fputc('\n', out);
	print_heading(out, output, scan, scope);
	print_time(out, &scope->snap);
	init_layout(&layout, output, &reason_table_columns, reason_ids, scan,
		    &scope->snap);
	ok = table_print(out, &layout, lines, nr + 1, sizeof(*lines));
	free(lines);
	return ok;
}

/* A line for each VM and vCPU. */
static struct exit_line *vm_lines(const struct output *output,
				  const struct exit_scan *scan)
{
	const struct arguments *args = output->args;
	struct exit_line *lines = calloc(scan->nr_scopes + 1, sizeof(*lines));
	size_t i;

	if (!lines)
		return NULL;
	for (i = 0; i < scan->nr_scopes; i++)
		line_init(&lines[i], scan, &scan->scopes[i], NULL, args->ns);
	/* This is for output_scan(); in order, nothing moves any more. */
	table_sort(&vm_table_columns, args->sort, lines, scan->nr_scopes,
		   sizeof(*lines));
	return lines;
}

static bool print_vms(FILE *out, struct output *output,
		      const struct exit_scan *scan)
{
	/* They may have different ones, and a list is to have the same. */
	static const struct exit_snapshot all = {
		.has_guest_cycles = true,
		.has = { [0 ... NR_COUNTS - 1] = true },
	};
	struct exit_line *lines = vm_lines(output, scan);
	struct layout layout;
	bool ok;

	if (!lines)
		return false;

	if (output->nr_printed++)
		fputc('\n', out);
	init_layout(&layout, output, &vm_table_columns, vm_ids, scan, &all);
	ok = table_print(out, &layout, lines, scan->nr_scopes, sizeof(*lines));
	free(lines);
	return ok;
}

bool print_scan_table(FILE *out, struct output *output,
		      const struct exit_scan *scan)
{
	size_t i;

	if (output->vms)
		return print_vms(out, output, scan);

	for (i = 0; i < scan->nr_scopes; i++) {
		if (!print_reasons(out, output, scan, &scan->scopes[i]))
			return false;
	}
	return true;
}

bool print_scan_csv(FILE *out, struct output *output,
		    const struct exit_scan *scan)
{
	const struct table *table = output->vms ? &vm_table_columns :
						  &reason_table_columns;
	const struct arguments *args = output->args;
	struct exit_line *lines;
	struct layout layout;
	size_t i;

	layout_init(&layout, table, output->vms ? csv_vm_ids : csv_reason_ids,
		    args->columns, args->ns);
	if (!output->nr_printed++)
		csv_print_head(out, &layout);

	if (output->vms) {
		lines = vm_lines(output, scan);
		if (!lines)
			return false;
		csv_print_lines(out, &layout, lines, scan->nr_scopes,
				sizeof(*lines));
		free(lines);
		return true;
	}

	for (i = 0; i < scan->nr_scopes; i++) {
		lines = reason_lines(scan, &scan->scopes[i], args->sort,
				     args->ns);
		if (!lines)
			return false;
		csv_print_lines(out, &layout, lines,
				scan->scopes[i].snap.nr_rows, sizeof(*lines));
		free(lines);
	}
	return true;
}

/* Put the scopes in the order in which a list shows them. */
static bool sort_scopes(const struct output *output, struct exit_scan *scan)
{
	struct exit_line *lines = vm_lines(output, scan);
	struct exit_scope *sorted =
		malloc((scan->nr_scopes + 1) * sizeof(*sorted));
	bool ok = lines && sorted;
	size_t i;

	for (i = 0; ok && i < scan->nr_scopes; i++)
		sorted[i] = *lines[i].scope;
	if (ok)
		memcpy(scan->scopes, sorted, scan->nr_scopes * sizeof(*sorted));
	free(lines);
	free(sorted);
	return ok;
}

static bool print_scan(FILE *out, struct output *output,
		       const struct exit_scan *scan)
{
	switch (output->args->format) {
	case OUTPUT_JSON:
		return print_scan_json(out, output, scan);
	case OUTPUT_CSV:
		return print_scan_csv(out, output, scan);
	case OUTPUT_OPENMETRICS:
		return print_scan_metrics(out, output, scan, false);
	case OUTPUT_TABLE:
		break;
	}
	if (output->args->textfile)
		return print_scan_metrics(out, output, scan, true);
	return print_scan_table(out, output, scan);
}

/* Rows that --reason leaves out go, and VMs come in the order of --sort. */
static int prepare_scan(const struct output *output, struct exit_scan *scan)
{
	const struct arguments *args = output->args;
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++) {
		struct exit_snapshot *snap = &scan->scopes[i].snap;

		if (args->ns && !snap->tsc_khz)
			return fail(
				STATUS_ERROR,
				"the TSC's frequency is not known here: use --units cycles");
		snapshot_filter(snap, args->reasons, args->nr_reasons);
	}

	if (output->vms && args->sort && scan->nr_scopes &&
	    !sort_scopes(output, scan))
		return out_of_memory();
	return STATUS_OK;
}

int output_scan(struct output *output, struct exit_scan *scan)
{
	const char *textfile = output->args->textfile;
	struct replacement file;
	int status = prepare_scan(output, scan);

	if (!status && textfile)
		status = replace_open(&file, textfile);
	if (status)
		return status;

	/* main() looks for errors of stdout. */
	if (!print_scan(textfile ? file.stream : stdout, output, scan)) {
		if (textfile)
			replace_abort(&file);
		return out_of_memory();
	}
	return textfile ? replace_commit(&file) : STATUS_OK;
}
