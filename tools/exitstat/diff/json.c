// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>
#include <stdio.h>

#include "base/json_add.h"
#include "diff/json.h"

#define DIFF_VERSION 1

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
		       const struct diff *diff, const struct diff_line *line,
		       int side)
{
	struct json_object *counts = json_object_new_object();
	const double exits = line->exits[side], handle = line->handle[side];
	const bool ns = diff->ns;

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

static bool fill_line(struct json_object *object, const struct diff *diff,
		      const struct diff_line *line)
{
	return add_counts(object, "a", diff, line, 0) &&
	       add_counts(object, "b", diff, line, 1) &&
	       add_change(object, "exits_change_percent",
			  diff_rate(line, line->exits, 0),
			  diff_rate(line, line->exits, 1)) &&
	       add_change(object, "handle_change_percent",
			  diff_rate(line, line->handle, 0),
			  diff_rate(line, line->handle, 1)) &&
	       add_change(object, "per_exit_change_percent",
			  diff_average(line, 0),
			  line->exits[1] > 0 ? diff_average(line, 1) :
					       diff_average(line, 0));
}

static bool add_reasons(struct json_object *object, const struct diff *diff)
{
	struct json_object *array = json_object_new_array(), *reason;
	size_t i;

	if (!json_add(object, "reasons", array))
		return false;
	for (i = 0; i + 1 < diff->nr_lines; i++) {
		const struct exit_row *row = &diff->lines[i].row;

		reason = json_object_new_object();
		if (!reason || json_object_array_add(array, reason))
			return false;
		if (!(row->other ?
			      json_add_null(reason, "reason") :
			      json_add_u64(reason, "reason", row->reason)) ||
		    !json_add_string(reason, "name", row->name) ||
		    !fill_line(reason, diff, &diff->lines[i]))
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

bool diff_print_json(FILE *out, const struct diff *diff)
{
	struct json_object *object = json_object_new_object();
	struct json_object *total = json_object_new_object();
	const char *text = NULL;
	bool ok;

	ok = object && json_add_string(object, "schema", "exitstat.diff") &&
	     json_add_u64(object, "version", DIFF_VERSION) &&
	     json_add_string(object, "isa", diff->sides[0].scope.snap.isa) &&
	     json_add_string(object, "units", diff->ns ? "ns" : "cycles") &&
	     add_side(object, "a", &diff->sides[0]) &&
	     add_side(object, "b", &diff->sides[1]) &&
	     add_reasons(object, diff) && json_add(object, "total", total) &&
	     fill_line(total, diff, &diff->lines[diff->nr_lines - 1]);
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
