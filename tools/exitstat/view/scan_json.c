// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "recording/format.h"
#include "view/lines.h"
#include "view/scan_json.h"

/* To be raised if a field changes its meaning or goes. */
#define JSON_VERSION 1

/* The name of a time: handle_cycles or handle_ns. */
static void set_name(char *name, size_t size, const char *cycles, bool ns)
{
	const size_t len = strlen(cycles) - strlen("_cycles");

	if (ns)
		snprintf(name, size, "%.*s_ns", (int)len, cycles);
	else
		snprintf(name, size, "%s", cycles);
}

static void print_cycles(struct json *json, const char *key, uint64_t cycles,
			 const struct exit_line *line)
{
	const struct exit_clock *clock = &line->scope->snap.clock;
	char name[32];

	set_name(name, sizeof(name), key, line->ns);
	json_put_u64(json, name, clock_convert(clock, cycles, line->ns));
}

static void print_counts(struct json *json, const struct exit_line *line)
{
	const struct exit_snapshot *snap = &line->scope->snap;
	uint64_t lost;
	size_t c;

	for (c = 0; c < NR_COUNTS; c++) {
		const char *name = exit_count_names[c];
		const uint64_t value = line->row.counts[c];

		if (!snap->has[c])
			continue;
		if (count_is_time(c))
			print_cycles(json, name, value, line);
		else
			json_put_u64(json, name, value);
	}
	if (line_lost(line, &lost))
		print_cycles(json, "lost_cycles", lost, line);
}

static void print_row(struct json *json, const struct exit_line *line)
{
	json_put_object(json, NULL);
	json_put_known(json, "reason", !line->row.other, line->row.reason);
	json_put_string(json, "name", line->row.name);
	print_counts(json, line);
	json_end(json);
}

static void print_identity(struct json *json, const struct exit_scope *scope)
{
	json_put_string(json, "scope", scope_name(scope));
	if (*scope->vm)
		json_put_string(json, "vm", scope->vm);
	if (*scope->name)
		json_put_string(json, "vm_name", scope->name);
	if (scope->kind == SCOPE_VCPU)
		json_put_u64(json, "vcpu", scope->vcpu);
}

static void print_faults(struct json *json, const struct exit_line *line)
{
	const struct exit_snapshot *snap = &line->scope->snap;

	json_put_known(json, "failed_entries", snap->has_faults,
		       snap->failed_entries);
	json_put_known(json, "clamped", snap->has_faults, snap->clamped);
	if (snap->has_guest_cycles)
		print_cycles(json, "guest_cycles", snap->guest_cycles, line);
}

/* How much of its time, which is the sense of a list. */
static void print_lost_share(struct json *json, const struct exit_line *line)
{
	struct exit_time time;

	if (!snapshot_time(&line->scope->snap, &time))
		return;

	if (exit_time_wanted(&time) > 0)
		json_put_real(json, "lost_percent",
			      100 * exit_time_lost(&time) /
				      exit_time_wanted(&time),
			      3);
}

static void print_worst(struct json *json, const struct exit_line *line)
{
	struct cell cell = {};

	vm_table_columns.get(line, COL_WORST, &cell);
	if (cell.type == CELL_TEXT)
		json_put_string(json, "worst_reason", cell.text);
}

/* The rows in the order of their numbers, unless the user sorts them. */
static bool print_reasons(struct json *json, const struct format *format,
			  const struct exit_line *total)
{
	const char *sort = format->sort ? format->sort : "-reason";
	const struct exit_scope *scope = total->scope;
	struct exit_line *lines =
		reason_lines(total->scan, scope, sort, format->ns);
	size_t i;

	if (!lines)
		return false;
	json_put_array(json, "reasons");
	for (i = 0; i < scope->snap.nr_rows; i++)
		print_row(json, &lines[i]);
	json_end(json);
	free(lines);

	json_put_object(json, "total");
	print_counts(json, total);
	json_end(json);
	return true;
}

static bool print_scope(struct json *json, const struct format *format,
			const struct exit_scan *scan,
			const struct exit_scope *scope)
{
	struct exit_line total;
	bool ok = true;

	line_init(&total, scan, scope, NULL, format->ns);
	json_put_object(json, NULL);
	print_identity(json, scope);
	if (scope->interval)
		json_put_real(json, "seconds", scope->interval / 1e9, 6);
	print_faults(json, &total);
	if (format->list) {
		if (scope->kind == SCOPE_VM)
			json_put_u64(json, "vcpus", scope->nr_vcpus);
		print_counts(json, &total);
		print_lost_share(json, &total);
		print_worst(json, &total);
	} else {
		ok = print_reasons(json, format, &total);
	}
	json_end(json);
	return ok;
}

static void print_head(struct json *json, const struct format *format,
		       const struct exit_scan *scan)
{
	char time[TIME_SIZE];
	size_t i;

	time_format(scan->realtime, time);
	json_put_string(json, "schema",
			format->list ? "exitstat.list" : "exitstat.show");
	json_put_u64(json, "version", JSON_VERSION);
	json_put_string(json, "time", time);
	if (scan->interval)
		json_put_real(json, "seconds", scan->interval / 1e9, 6);
	else
		json_put_null(json, "seconds");
	json_put_string(json, "units", format->ns ? "ns" : "cycles");
	if (*scan->source)
		json_put_string(json, "source", scan->source);
	if (scan->nr_scopes) {
		const struct exit_snapshot *snap = &scan->scopes[0].snap;

		json_put_string(json, "isa", snap->isa);
		json_put_u64(json, "tsc_khz", snap->clock.tsc_khz);
		json_put_string(json, "clock", clock_name(&snap->clock));
		json_put_bool(json, "enabled", snap->enabled);
	}
	if (format->facts && format->facts->nr) {
		json_put_object(json, "facts");
		for (i = 0; i < format->facts->nr; i++)
			json_put_string(json, format->facts->facts[i].name,
					format->facts->facts[i].value);
		json_end(json);
	}
}

bool print_scan_json(FILE *out, const struct format *format,
		     const struct exit_scan *scan)
{
	struct json json;
	bool ok = true;
	size_t i;

	json_begin(&json, out, JSON_COMPACT);
	json_put_object(&json, NULL);
	print_head(&json, format, scan);
	/* Several documents stand in a line each. */
	if (scan->interval)
		json_put_array(&json, "scopes");
	else
		json_put_lines(&json, "scopes");
	for (i = 0; ok && i < scan->nr_scopes; i++)
		ok = print_scope(&json, format, scan, &scan->scopes[i]);
	json_end(&json);
	json_end(&json);
	fputc('\n', out);
	return ok;
}
