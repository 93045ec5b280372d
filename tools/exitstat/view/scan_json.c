// SPDX-License-Identifier: GPL-2.0
/*
 * A scope is printed as soon as it is made: a thousand VMs in one tree of
 * objects would need more memory than all the rest.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_add.h"
#include "view/lines.h"
#include "view/scan_json.h"

/* To be raised if a field changes its meaning or goes. */
#define JSON_VERSION 1

static bool add_bool(struct json_object *object, const char *key, bool value)
{
	return json_add(object, key, json_object_new_boolean(value));
}

/* The name of a time: handle_cycles or handle_ns. */
static void set_name(char *name, size_t size, const char *cycles, bool ns)
{
	const size_t len = strlen(cycles) - strlen("_cycles");

	if (ns)
		snprintf(name, size, "%.*s_ns", (int)len, cycles);
	else
		snprintf(name, size, "%s", cycles);
}

static bool add_cycles(struct json_object *object, const char *key,
		       uint64_t cycles, const struct exit_line *line)
{
	char name[32];

	set_name(name, sizeof(name), key, line->ns);
	return json_add_u64(object, name,
			    line->ns ? cycles_to_ns(cycles,
						    line->scope->snap.tsc_khz) :
				       cycles);
}

static bool add_counts(struct json_object *object, const struct exit_line *line)
{
	const struct exit_snapshot *snap = &line->scope->snap;
	size_t c;

	for (c = 0; c < NR_COUNTS; c++) {
		const char *name = exit_count_names[c];
		const uint64_t value = line->row.counts[c];
		bool ok;

		if (!snap->has[c])
			continue;
		if (count_is_time(c))
			ok = add_cycles(object, name, value, line);
		else
			ok = json_add_u64(object, name, value);
		if (!ok)
			return false;
	}
	return true;
}

static bool add_row(struct json_object *reasons, const struct exit_line *line)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return false;

	if (json_object_array_add(reasons, object)) {
		json_object_put(object);
		return false;
	}

	return (line->row.other ?
			json_add_null(object, "reason") :
			json_add_u64(object, "reason", line->row.reason)) &&
	       json_add_string(object, "name", line->row.name) &&
	       add_counts(object, line);
}

static bool add_identity(struct json_object *object,
			 const struct exit_scope *scope)
{
	return json_add_string(object, "scope", scope_name(scope)) &&
	       (!*scope->vm || json_add_string(object, "vm", scope->vm)) &&
	       (!*scope->name ||
		json_add_string(object, "vm_name", scope->name)) &&
	       (scope->kind != SCOPE_VCPU ||
		json_add_u64(object, "vcpu", scope->vcpu));
}

static bool add_faults(struct json_object *object, const struct exit_line *line)
{
	const struct exit_snapshot *snap = &line->scope->snap;

	if (!snap->has_faults)
		return json_add_null(object, "failed_entries") &&
		       json_add_null(object, "clamped");

	return json_add_u64(object, "failed_entries", snap->failed_entries) &&
	       json_add_u64(object, "clamped", snap->clamped) &&
	       (!snap->has_guest_cycles ||
		add_cycles(object, "guest_cycles", snap->guest_cycles, line));
}

static bool add_reasons(struct json_object *object,
			const struct exit_line *lines, size_t nr)
{
	struct json_object *reasons = json_object_new_array();
	size_t i;

	if (!json_add(object, "reasons", reasons))
		return false;

	for (i = 0; i < nr; i++) {
		if (!add_row(reasons, &lines[i]))
			return false;
	}
	return true;
}

/* What is lost, which is the sense of a list. */
static bool add_lost(struct json_object *object, const struct exit_line *line)
{
	struct exit_time time;

	if (!snapshot_time(&line->scope->snap, &time))
		return true;

	return add_cycles(object, "lost_cycles", exit_time_lost_cycles(&time),
			  line) &&
	       (!(exit_time_wanted(&time) > 0) ||
		json_add_double(object, "lost_percent",
				100 * exit_time_lost(&time) /
					exit_time_wanted(&time),
				3));
}

static bool add_total(struct json_object *object, const struct exit_line *line)
{
	struct json_object *total = json_object_new_object();

	return json_add(object, "total", total) && add_counts(total, line);
}

/* The rows in the order of their numbers, unless the user sorts them. */
static bool add_scope(struct json_object *object, const struct format *format,
		      const struct exit_scan *scan,
		      const struct exit_scope *scope)
{
	const char *sort = format->sort ? format->sort : "-reason";
	struct exit_line *lines = NULL, total;
	bool ok;

	line_init(&total, scan, scope, NULL, format->ns);
	ok = add_identity(object, scope) && add_faults(object, &total);

	if (format->list)
		return ok &&
		       (scope->kind != SCOPE_VM ||
			json_add_u64(object, "vcpus", scope->nr_vcpus)) &&
		       add_counts(object, &total) && add_lost(object, &total);

	if (ok)
		lines = reason_lines(scan, scope, sort, format->ns);
	ok = lines && add_reasons(object, lines, scope->snap.nr_rows) &&
	     add_total(object, &total);
	free(lines);
	return ok;
}

static bool add_head(struct json_object *object, const struct format *format,
		     const struct exit_scan *scan)
{
	const struct exit_snapshot *snap =
		scan->nr_scopes ? &scan->scopes[0].snap : NULL;
	char time[TIME_SIZE];

	time_format(scan->realtime, time);
	return json_add_string(object, "schema",
			       format->list ? "exitstat.list" :
					      "exitstat.show") &&
	       json_add_u64(object, "version", JSON_VERSION) &&
	       json_add_string(object, "time", time) &&
	       (scan->interval ? json_add_double(object, "seconds",
						 scan->interval / 1e9, 6) :
				 json_add_null(object, "seconds")) &&
	       json_add_string(object, "units", format->ns ? "ns" : "cycles") &&
	       (!snap || (json_add_string(object, "isa", snap->isa) &&
			  json_add_u64(object, "tsc_khz", snap->tsc_khz) &&
			  add_bool(object, "enabled", snap->enabled)));
}

static const char *text_of(struct json_object *object)
{
	return json_object_to_json_string_ext(
		object,
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* An object's members, without the braces around them. */
static bool print_members(FILE *out, struct json_object *object)
{
	const char *text = text_of(object);

	if (!text)
		return false;
	fprintf(out, "%.*s", (int)strlen(text) - 2, text + 1);
	return true;
}

bool print_scan_json(FILE *out, const struct format *format,
		     const struct exit_scan *scan)
{
	/* Several documents stand in a line each. */
	const char *end = scan->interval ? "" : "\n";
	struct json_object *object = json_object_new_object();
	bool ok = object && add_head(object, format, scan);
	const char *text;
	size_t i;

	fputc('{', out);
	ok = ok && print_members(out, object);
	json_object_put(object);
	fprintf(out, ",\"scopes\":[%s", end);

	for (i = 0; ok && i < scan->nr_scopes; i++) {
		object = json_object_new_object();
		ok = object &&
		     add_scope(object, format, scan, &scan->scopes[i]);
		text = ok ? text_of(object) : NULL;
		if (text)
			fprintf(out, "%s%s%s", text,
				i + 1 < scan->nr_scopes ? "," : "", end);
		ok = text;
		json_object_put(object);
	}
	fputs("]}\n", out);
	return ok;
}
