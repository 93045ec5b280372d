// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

#include "base/json_write.h"
#include "diff/json.h"

#define DIFF_VERSION 1

static void print_ratio(struct json *json, const char *key, double part,
			double whole)
{
	if (whole > 0)
		json_put_real(json, key, part / whole, 6);
	else
		json_put_null(json, key);
}

static void print_change(struct json *json, const char *key, double before,
			 double after)
{
	double percent;

	if (diff_change(before, after, &percent))
		json_put_real(json, key, percent, 3);
	else
		json_put_null(json, key);
}

static void print_counts(struct json *json, const struct diff *diff,
			 const struct diff_line *line, int side)
{
	const uint64_t exits = line->exits[side], handle = line->handle[side];
	const bool ns = diff->ns;

	json_put_object(json, side ? "b" : "a");
	json_put_u64(json, "exits", exits);
	json_put_u64(json, ns ? "handle_ns" : "handle_cycles", handle);
	if (line->has_lost)
		json_put_u64(json, ns ? "lost_ns" : "lost_cycles",
			     line->lost[side]);
	print_ratio(json, "exits_per_second", exits * 1e9,
		    line->interval[side]);
	print_ratio(json,
		    ns ? "handle_ns_per_second" : "handle_cycles_per_second",
		    handle * 1e9, line->interval[side]);
	print_ratio(json, ns ? "ns_per_exit" : "cycles_per_exit", handle,
		    exits);
	json_end(json);
}

static void print_line(struct json *json, const struct diff *diff,
		       const struct diff_line *line)
{
	print_counts(json, diff, line, 0);
	print_counts(json, diff, line, 1);
	print_change(json, "exits_change_percent",
		     diff_rate(line, line->exits, 0),
		     diff_rate(line, line->exits, 1));
	print_change(json, "handle_change_percent",
		     diff_rate(line, line->handle, 0),
		     diff_rate(line, line->handle, 1));
	if (line->has_lost)
		print_change(json, "lost_change_percent",
			     diff_rate(line, line->lost, 0),
			     diff_rate(line, line->lost, 1));
	print_change(json, "per_exit_change_percent", diff_average(line, 0),
		     line->exits[1] ? diff_average(line, 1) :
				      diff_average(line, 0));
}

static void print_side(struct json *json, const char *key,
		       const struct diff_side *side)
{
	const struct exit_scope *scope = &side->scope;
	const bool one = side->nr_scopes == 1;

	json_put_object(json, key);
	json_put_string(json, "scope", scope_name(scope));
	json_put_u64(json, "scopes", side->nr_scopes);
	if (one && *scope->vm) {
		json_put_string(json, "vm", scope->vm);
		json_put_string(json, "vm_name", scope->name);
	}
	if (one && scope->kind == SCOPE_VCPU)
		json_put_u64(json, "vcpu", scope->vcpu);
	if (side->interval)
		json_put_real(json, "seconds", side->interval / 1e9, 6);
	else
		json_put_null(json, "seconds");
	json_put_u64(json, "tsc_khz", scope->snap.clock.tsc_khz);
	json_put_string(json, "clock", clock_name(&scope->snap.clock));
	json_end(json);
}

static void print_reasons(struct json *json, const struct diff *diff)
{
	size_t i;

	json_put_array(json, "reasons");
	for (i = 0; i + 1 < diff->nr_lines; i++) {
		const struct exit_row *row = &diff->lines[i].row;

		json_put_object(json, NULL);
		json_put_known(json, "reason", !row->other, row->reason);
		json_put_string(json, "name", row->name);
		print_line(json, diff, &diff->lines[i]);
		json_end(json);
	}
	json_end(json);
}

void diff_print_json(FILE *out, const struct diff *diff)
{
	const struct recording_fact *fact;
	const char *of_b;
	struct json json;
	size_t i;

	json_begin(&json, out, JSON_PRETTY);
	json_put_object(&json, NULL);
	json_put_string(&json, "schema", "exitstat.diff");
	json_put_u64(&json, "version", DIFF_VERSION);
	json_put_string(&json, "isa", diff->sides[0].scope.snap.isa);
	json_put_string(&json, "units", diff->ns ? "ns" : "cycles");
	print_side(&json, "a", &diff->sides[0]);
	print_side(&json, "b", &diff->sides[1]);
	json_put_array(&json, "differs");
	for (i = 0; (fact = diff_next_fact(diff, &i, &of_b));) {
		json_put_object(&json, NULL);
		json_put_string(&json, "name", fact->name);
		json_put_string(&json, "a", fact->value);
		json_put_string(&json, "b", of_b);
		json_end(&json);
	}
	json_end(&json);
	print_reasons(&json, diff);
	json_put_object(&json, "total");
	print_line(&json, diff, &diff->lines[diff->nr_lines - 1]);
	json_end(&json);
	json_end(&json);
	fputc('\n', out);
}
