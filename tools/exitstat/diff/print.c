// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "diff/diff.h"
#include "view/output.h"

#define DIFF_VERSION 1

enum {
	DIFF_REASON,
	DIFF_NAME,
	DIFF_EXITS_A,
	DIFF_EXITS_B,
	DIFF_EXITS_DIFF,
	DIFF_EXITS_RATE_A,
	DIFF_EXITS_RATE_B,
	DIFF_EXITS_CHANGE,
	DIFF_EXITS_SHARE_A,
	DIFF_EXITS_SHARE_B,
	DIFF_HANDLE_A,
	DIFF_HANDLE_B,
	DIFF_HANDLE_DIFF,
	DIFF_HANDLE_RATE_A,
	DIFF_HANDLE_RATE_B,
	DIFF_HANDLE_CHANGE,
	DIFF_HANDLE_SHARE_A,
	DIFF_HANDLE_SHARE_B,
	DIFF_AVERAGE_A,
	DIFF_AVERAGE_B,
	DIFF_AVERAGE_CHANGE,
};

static const struct column columns[] = {
	{ DIFF_REASON, "REASON", NULL, "exit number", false },
	{ DIFF_NAME, "NAME", NULL, "its name in the kernel", true },
	{ DIFF_EXITS_A, "EXITS_A", NULL, "VM-exits in A", false },
	{ DIFF_EXITS_B, "EXITS_B", NULL, "VM-exits in B", false },
	{ DIFF_EXITS_DIFF, "EXITS_DIFF", NULL, "those in B less those in A",
	  false },
	{ DIFF_EXITS_RATE_A, "EXITS/S_A", NULL, "VM-exits per second in A",
	  false },
	{ DIFF_EXITS_RATE_B, "EXITS/S_B", NULL, "VM-exits per second in B",
	  false },
	{ DIFF_EXITS_CHANGE, "EXITS_CHANGE%", NULL,
	  "how many more in B, per second if that is known", false },
	{ DIFF_EXITS_SHARE_A, "%EXITS_A", NULL, "share of all exits in A",
	  false },
	{ DIFF_EXITS_SHARE_B, "%EXITS_B", NULL, "share of all exits in B",
	  false },
	{ DIFF_HANDLE_A, "HANDLE_CYCLES_A", "HANDLE_NS_A",
	  "time in which KVM worked in A", false },
	{ DIFF_HANDLE_B, "HANDLE_CYCLES_B", "HANDLE_NS_B",
	  "time in which KVM worked in B", false },
	{ DIFF_HANDLE_DIFF, "HANDLE_CYCLES_DIFF", "HANDLE_NS_DIFF",
	  "that in B less that in A", false },
	{ DIFF_HANDLE_RATE_A, "HANDLE_CYCLES/S_A", "HANDLE_NS/S_A",
	  "the time per second in A", false },
	{ DIFF_HANDLE_RATE_B, "HANDLE_CYCLES/S_B", "HANDLE_NS/S_B",
	  "the time per second in B", false },
	{ DIFF_HANDLE_CHANGE, "HANDLE_CHANGE%", NULL,
	  "how much more in B, per second if that is known", false },
	{ DIFF_HANDLE_SHARE_A, "%HANDLE_A", NULL, "share of all of it in A",
	  false },
	{ DIFF_HANDLE_SHARE_B, "%HANDLE_B", NULL, "share of all of it in B",
	  false },
	{ DIFF_AVERAGE_A, "CYCLES/EXIT_A", "NS/EXIT_A",
	  "time of an exit in A, on average", false },
	{ DIFF_AVERAGE_B, "CYCLES/EXIT_B", "NS/EXIT_B",
	  "time of an exit in B, on average", false },
	{ DIFF_AVERAGE_CHANGE, "CYCLES/EXIT_CHANGE%", "NS/EXIT_CHANGE%",
	  "how much longer in B", false },
};

static const int rate_ids[] = {
	DIFF_REASON,	    DIFF_NAME,		 DIFF_EXITS_RATE_A,
	DIFF_EXITS_RATE_B,  DIFF_EXITS_CHANGE,	 DIFF_HANDLE_RATE_A,
	DIFF_HANDLE_RATE_B, DIFF_HANDLE_CHANGE,	 DIFF_AVERAGE_A,
	DIFF_AVERAGE_B,	    DIFF_AVERAGE_CHANGE, -1,
};

/* The same counters, read twice. */
static const int continued_ids[] = {
	DIFF_REASON,	 DIFF_NAME,	 DIFF_EXITS_A,	      DIFF_EXITS_B,
	DIFF_EXITS_DIFF, DIFF_HANDLE_A,	 DIFF_HANDLE_B,	      DIFF_HANDLE_DIFF,
	DIFF_AVERAGE_A,	 DIFF_AVERAGE_B, DIFF_AVERAGE_CHANGE, -1,
};

/* Who knows how long was counted. */
static const int share_ids[] = {
	DIFF_REASON,	     DIFF_NAME,		  DIFF_EXITS_A,
	DIFF_EXITS_B,	     DIFF_EXITS_SHARE_A,  DIFF_EXITS_SHARE_B,
	DIFF_HANDLE_SHARE_A, DIFF_HANDLE_SHARE_B, DIFF_AVERAGE_A,
	DIFF_AVERAGE_B,	     DIFF_AVERAGE_CHANGE, -1,
};

static const int csv_ids[] = {
	DIFF_REASON,
	DIFF_NAME,
	DIFF_EXITS_A,
	DIFF_EXITS_B,
	DIFF_EXITS_RATE_A,
	DIFF_EXITS_RATE_B,
	DIFF_HANDLE_A,
	DIFF_HANDLE_B,
	DIFF_AVERAGE_A,
	DIFF_AVERAGE_B,
	-1,
};

static void set_real(struct cell *cell, double value, int decimals)
{
	cell->type = CELL_REAL;
	cell->decimals = decimals;
	cell->real = value;
}

static void set_ratio(struct cell *cell, double part, double whole,
		      int decimals)
{
	if (whole > 0)
		set_real(cell, part / whole, decimals);
}

/* Per second if that is known, so that it can be compared. */
static double rate(const struct diff_line *line, const double *values, int side)
{
	return line->seconds[side] > 0 ? values[side] / line->seconds[side] :
					 values[side];
}

static void set_change(struct cell *cell, double before, double after)
{
	double percent;

	if (diff_change(before, after, &percent))
		set_real(cell, percent, 1);
}

static double average(const struct diff_line *line, int side)
{
	return line->exits[side] > 0 ? line->handle[side] / line->exits[side] :
				       0;
}

static void set_average_change(struct cell *cell, const struct diff_line *line)
{
	if (line->exits[0] > 0 && line->exits[1] > 0)
		set_change(cell, average(line, 0), average(line, 1));
}

static void get_cell(const void *data, int id, struct cell *cell)
{
	const struct diff_line *line = data;
	const double *exits = line->exits, *handle = line->handle;

	switch (id) {
	case DIFF_REASON:
		if (!line->row.other)
			*cell = (struct cell){ .type = CELL_U64,
					       .u64 = line->row.reason };
		break;
	case DIFF_NAME:
		*cell = (struct cell){ .type = CELL_TEXT,
				       .text = line->row.name };
		break;
	case DIFF_EXITS_A:
	case DIFF_EXITS_B:
		set_real(cell, exits[id - DIFF_EXITS_A], 0);
		break;
	case DIFF_EXITS_DIFF:
		set_real(cell, exits[1] - exits[0], 0);
		break;
	case DIFF_EXITS_RATE_A:
	case DIFF_EXITS_RATE_B:
		set_ratio(cell, exits[id - DIFF_EXITS_RATE_A],
			  line->seconds[id - DIFF_EXITS_RATE_A], 1);
		break;
	case DIFF_EXITS_CHANGE:
		set_change(cell, rate(line, exits, 0), rate(line, exits, 1));
		break;
	case DIFF_EXITS_SHARE_A:
	case DIFF_EXITS_SHARE_B:
		set_ratio(cell, 100 * exits[id - DIFF_EXITS_SHARE_A],
			  line->all_exits[id - DIFF_EXITS_SHARE_A], 2);
		break;
	case DIFF_HANDLE_A:
	case DIFF_HANDLE_B:
		set_real(cell, handle[id - DIFF_HANDLE_A], 0);
		break;
	case DIFF_HANDLE_DIFF:
		set_real(cell, handle[1] - handle[0], 0);
		break;
	case DIFF_HANDLE_RATE_A:
	case DIFF_HANDLE_RATE_B:
		set_ratio(cell, handle[id - DIFF_HANDLE_RATE_A],
			  line->seconds[id - DIFF_HANDLE_RATE_A], 0);
		break;
	case DIFF_HANDLE_CHANGE:
		set_change(cell, rate(line, handle, 0), rate(line, handle, 1));
		break;
	case DIFF_HANDLE_SHARE_A:
	case DIFF_HANDLE_SHARE_B:
		set_ratio(cell, 100 * handle[id - DIFF_HANDLE_SHARE_A],
			  line->all_handle[id - DIFF_HANDLE_SHARE_A], 2);
		break;
	case DIFF_AVERAGE_A:
	case DIFF_AVERAGE_B:
		set_ratio(cell, handle[id - DIFF_AVERAGE_A],
			  exits[id - DIFF_AVERAGE_A], 0);
		break;
	case DIFF_AVERAGE_CHANGE:
		set_average_change(cell, line);
		break;
	}
}

const struct table diff_table = {
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.get = get_cell,
};

static void print_side(FILE *out, const char *name,
		       const struct diff_side *side)
{
	const struct exit_snapshot *snap = &side->scope.snap;
	char label[SCOPE_LABEL_SIZE];

	if (side->nr_scopes > 1)
		snprintf(label, sizeof(label), "%zu %s", side->nr_scopes,
			 side->scope.kind == SCOPE_VCPU ? "vCPUs" : "VMs");
	else
		scope_label(&side->scope, label);
	fprintf(out, "%s: %s, %s: %s, TSC %" PRIu32 ".%03" PRIu32 " MHz, ",
		name, side->path, label, snap->isa, snap->tsc_khz / 1000,
		snap->tsc_khz % 1000);
	if (side->seconds > 0)
		fprintf(out, "%.3f s\n", side->seconds);
	else
		fputs("since the counters began\n", out);
}

bool diff_print_table(FILE *out, const struct diff_output *output)
{
	const int *ids = output->lines->seconds[0] > 0 ? rate_ids :
			 output->continued	       ? continued_ids :
							 share_ids;
	struct layout layout;

	layout_init(&layout, &diff_table, ids, output->args->columns,
		    output->ns);
	print_side(out, "A", &output->sides[0]);
	print_side(out, "B", &output->sides[1]);
	return table_print(out, &layout, output->lines, output->nr_lines,
			   sizeof(*output->lines));
}

bool diff_print_csv(FILE *out, const struct diff_output *output)
{
	struct layout layout;

	layout_init(&layout, &diff_table, csv_ids, output->args->columns,
		    output->ns);
	csv_print_head(out, &layout);
	csv_print_lines(out, &layout, output->lines, output->nr_lines - 1,
			sizeof(*output->lines));
	return true;
}

static bool add_ratio(struct json_object *object, const char *key, double part,
		      double whole)
{
	return whole > 0 ? json_add_double(object, key, part / whole, 6) :
			   json_add_null(object, key);
}

static bool add_change(struct json_object *object, const char *key,
		       double before, double after)
{
	double percent;

	return diff_change(before, after, &percent) ?
		       json_add_double(object, key, percent, 3) :
		       json_add_null(object, key);
}

static bool add_counts(struct json_object *object, const char *key,
		       const struct diff_output *output,
		       const struct diff_line *line, int side)
{
	struct json_object *counts = json_object_new_object();
	const double exits = line->exits[side], handle = line->handle[side];
	const bool ns = output->ns;

	return json_add(object, key, counts) &&
	       json_add_double(counts, "exits", exits, 0) &&
	       json_add_double(counts, ns ? "handle_ns" : "handle_cycles",
			       handle, 0) &&
	       add_ratio(counts, "exits_per_second", exits,
			 line->seconds[side]) &&
	       add_ratio(counts,
			 ns ? "handle_ns_per_second" :
			      "handle_cycles_per_second",
			 handle, line->seconds[side]) &&
	       add_ratio(counts, ns ? "ns_per_exit" : "cycles_per_exit", handle,
			 exits);
}

static bool fill_line(struct json_object *object,
		      const struct diff_output *output,
		      const struct diff_line *line)
{
	return add_counts(object, "a", output, line, 0) &&
	       add_counts(object, "b", output, line, 1) &&
	       add_change(object, "exits_change_percent",
			  rate(line, line->exits, 0),
			  rate(line, line->exits, 1)) &&
	       add_change(object, "handle_change_percent",
			  rate(line, line->handle, 0),
			  rate(line, line->handle, 1)) &&
	       add_change(object, "per_exit_change_percent", average(line, 0),
			  line->exits[1] > 0 ? average(line, 1) :
					       average(line, 0));
}

static bool add_reasons(struct json_object *object,
			const struct diff_output *output)
{
	struct json_object *array = json_object_new_array(), *reason;
	size_t i;

	if (!json_add(object, "reasons", array))
		return false;
	for (i = 0; i + 1 < output->nr_lines; i++) {
		const struct exit_row *row = &output->lines[i].row;

		reason = json_object_new_object();
		if (!reason || json_object_array_add(array, reason))
			return false;
		if (!(row->other ?
			      json_add_null(reason, "reason") :
			      json_add_u64(reason, "reason", row->reason)) ||
		    !json_add_string(reason, "name", row->name) ||
		    !fill_line(reason, output, &output->lines[i]))
			return false;
	}
	return true;
}

static bool add_side(struct json_object *object, const char *key,
		     const struct diff_side *side)
{
	struct json_object *value = json_object_new_object();
	const struct exit_scope *scope = &side->scope;

	return json_add(object, key, value) &&
	       json_add_string(value, "scope", scope_name(scope)) &&
	       json_add_u64(value, "scopes", side->nr_scopes) &&
	       (side->nr_scopes > 1 || !*scope->vm ||
		(json_add_string(value, "vm", scope->vm) &&
		 json_add_string(value, "vm_name", scope->name))) &&
	       (side->nr_scopes > 1 || scope->kind != SCOPE_VCPU ||
		json_add_u64(value, "vcpu", scope->vcpu)) &&
	       (side->seconds > 0 ?
			json_add_double(value, "seconds", side->seconds, 6) :
			json_add_null(value, "seconds")) &&
	       json_add_u64(value, "tsc_khz", scope->snap.tsc_khz);
}

bool diff_print_json(FILE *out, const struct diff_output *output)
{
	struct json_object *object = json_object_new_object();
	struct json_object *total = json_object_new_object();
	const char *text = NULL;
	bool ok;

	ok = object && json_add_string(object, "schema", "exitstat.diff") &&
	     json_add_u64(object, "version", DIFF_VERSION) &&
	     json_add_string(object, "isa", output->sides[0].scope.snap.isa) &&
	     json_add_string(object, "units", output->ns ? "ns" : "cycles") &&
	     add_side(object, "a", &output->sides[0]) &&
	     add_side(object, "b", &output->sides[1]) &&
	     add_reasons(object, output) && json_add(object, "total", total) &&
	     fill_line(total, output, &output->lines[output->nr_lines - 1]);
	if (ok)
		text = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PRETTY |
					JSON_C_TO_STRING_SPACED |
					JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		fprintf(out, "%s\n", text);
	json_object_put(object);
	return text;
}

static void print_family(FILE *out, const char *name, const char *help)
{
	fprintf(out, "# TYPE %s gauge\n# HELP %s %s.\n", name, name, help);
}

static void print_samples(FILE *out, const char *name,
			  const struct diff_output *output, bool handle)
{
	const char *isa = output->sides[0].scope.snap.isa;
	char reason[16];
	size_t i, s;

	for (i = 0; i + 1 < output->nr_lines; i++) {
		const struct diff_line *line = &output->lines[i];

		if (line->row.other)
			strcpy(reason, "other");
		else
			snprintf(reason, sizeof(reason), "%" PRIu32,
				 line->row.reason);
		for (s = 0; s < 2; s++) {
			fprintf(out,
				"%s{recording=\"%c\",isa=\"%s\",reason=\"%s\",name=\"%s\"} ",
				name, s ? 'b' : 'a', isa, reason,
				line->row.name);
			if (!handle)
				fprintf(out, "%.0f\n", line->exits[s]);
			else if (output->ns)
				fprintf(out, "%.9f\n", line->handle[s] / 1e9);
			else
				fprintf(out, "%.0f\n", line->handle[s]);
		}
	}
}

bool diff_print_metrics(FILE *out, const struct diff_output *output)
{
	const char *handle = output->ns ? "exitstat_diff_handle_seconds" :
					  "exitstat_diff_handle_cycles";
	size_t s;

	if (output->lines->seconds[0] > 0) {
		print_family(out, "exitstat_diff_interval_seconds",
			     "How long was counted");
		for (s = 0; s < 2; s++)
			fprintf(out,
				"exitstat_diff_interval_seconds{recording=\"%c\"} %.6f\n",
				s ? 'b' : 'a', output->sides[s].seconds);
	}
	print_family(out, "exitstat_diff_exits", "VM-exits");
	print_samples(out, "exitstat_diff_exits", output, false);
	print_family(out, handle, "Time that KVM worked for vCPUs");
	print_samples(out, handle, output, true);
	fputs("# EOF\n", out);
	return true;
}
