// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/json_read.h"
#include "base/parse.h"
#include "base/text.h"
#include "model/reasons.h"
#include "recording/parse.h"

/* More than any host has, so that memory stays bounded. */
#define MAX_ROWS 2048
#define MAX_BUCKETS 65536
#define MAX_LABELS 4096

static bool parse_columns(struct json_object *counts,
			  struct recording_header *header)
{
	bool found[NR_COUNTS + 1] = {};
	const char *name;
	size_t i, c;

	header->nr_columns = counts ? json_object_array_length(counts) : 0;
	if (header->nr_columns > ARRAY_SIZE(header->columns))
		return false;
	for (i = 0; i < header->nr_columns; i++) {
		struct json_object *value =
			json_object_array_get_idx(counts, i);

		if (!json_object_is_type(value, json_type_string))
			return false;
		name = json_object_get_string(value);
		for (c = 0; c < NR_COUNTS; c++) {
			if (!strcmp(name, exit_count_names[c]))
				break;
		}
		if (c < NR_COUNTS && found[c])
			return false;
		found[c] = true;
		header->columns[i] = c;
	}
	return found[COUNT_EXITS] && found[COUNT_HANDLE_CYCLES];
}

/* What may be anything is printable; what is too much is left out. */
static void parse_facts(struct json_object *object,
			struct recording_facts *facts)
{
	struct recording_fact *fact;
	const char *text;

	if (!object)
		return;
	json_object_object_foreach(object, key, value)
	{
		if (facts->nr == RECORDING_MAX_FACTS ||
		    !json_object_is_type(value, json_type_string))
			continue;
		text = json_object_get_string(value);
		fact = &facts->facts[facts->nr++];
		text_printable(fact->name, sizeof(fact->name), key,
			       strlen(key));
		text_printable(fact->value, sizeof(fact->value), text,
			       strlen(text));
	}
}

bool recording_parse_header(struct json_object *object,
			    struct recording_header *header)
{
	const char *isa = json_member_string(object, "isa");
	const char *started = json_member_string(object, "started");
	const char *clock = json_member_string(object, "clock");
	uint64_t khz;

	*header = (struct recording_header){};
	if (!isa || !parse_word(isa, header->isa, sizeof(header->isa)) ||
	    !json_member_u64(object, "tsc_khz", UINT32_MAX, &khz))
		return false;
	/* 0.1 knew the TSC alone, and did not say so. */
	if (clock && !clock_parse_name(clock, &header->clock))
		return false;
	header->clock.tsc_khz = khz;
	header->realtime = started ? time_parse(started) : 0;
	json_member_seconds(object, "interval", &header->interval);
	json_member_text(object, "source", header->source,
			 sizeof(header->source));
	json_member_text(object, "tool", header->tool, sizeof(header->tool));
	json_member_text(object, "host", header->host, sizeof(header->host));
	json_member_text(object, "kernel", header->kernel,
			 sizeof(header->kernel));
	parse_facts(json_member(object, "facts", json_type_object),
		    &header->facts);
	return parse_columns(json_member(object, "counts", json_type_array),
			     header);
}

static int compare_labels(const void *a, const void *b)
{
	const struct recording_label *x = a, *y = b;

	return (x->reason > y->reason) - (x->reason < y->reason);
}

static bool add_label(struct recording_section *section, uint64_t reason,
		      const char *name)
{
	struct recording_label *labels = section->labels, key = {};

	key.reason = reason;
	if (!parse_name(name, key.name, sizeof(key.name)) ||
	    section->nr_labels == MAX_LABELS)
		return false;
	if (labels && bsearch(&key, labels, section->nr_labels, sizeof(*labels),
			      compare_labels))
		return true;

	labels = reallocarray(labels, section->nr_labels + 1, sizeof(*labels));
	if (!labels)
		return false;
	section->labels = labels;
	labels[section->nr_labels++] = key;
	qsort(labels, section->nr_labels, sizeof(*labels), compare_labels);
	return true;
}

static bool parse_labels(struct recording_section *section,
			 struct json_object *names)
{
	uint64_t reason;

	if (!names)
		return true;
	json_object_object_foreach(names, key, value)
	{
		if (!parse_u64(key, UINT32_MAX, &reason) ||
		    !json_object_is_type(value, json_type_string) ||
		    !add_label(section, reason, json_object_get_string(value)))
			return false;
	}
	return true;
}

static void set_label(const struct recording_section *section,
		      struct exit_row *row)
{
	const struct recording_label key = { .reason = row->reason }, *label;

	if (row->other) {
		strcpy(row->name, "OTHER");
		return;
	}
	label = section->nr_labels ?
			bsearch(&key, section->labels, section->nr_labels,
				sizeof(key), compare_labels) :
			NULL;
	if (label) {
		strcpy(row->name, label->name);
		return;
	}
	/* The line that named it was damaged. */
	reason_label(row->name, reasons_of(section->header.isa), row->reason);
}

static bool parse_reason(struct json_object *value, bool *other,
			 uint32_t *reason)
{
	uint64_t number = 0;

	*other = json_object_is_type(value, json_type_null);
	if (!*other && !json_value_u64(value, UINT32_MAX, &number))
		return false;
	*reason = number;
	return true;
}

static bool parse_row(struct json_object *array,
		      const struct recording_section *section,
		      struct exit_row *row)
{
	const struct recording_header *header = &section->header;
	uint64_t value;
	size_t i;

	if (!json_object_is_type(array, json_type_array) ||
	    json_object_array_length(array) < 1 + header->nr_columns ||
	    !parse_reason(json_object_array_get_idx(array, 0), &row->other,
			  &row->reason))
		return false;
	for (i = 0; i < header->nr_columns; i++) {
		if (!json_value_u64(json_object_array_get_idx(array, 1 + i),
				    UINT64_MAX, &value))
			return false;
		if (header->columns[i] < NR_COUNTS)
			row->counts[header->columns[i]] = value;
	}
	set_label(section, row);
	return true;
}

static bool parse_rows(struct json_object *array,
		       const struct recording_section *section,
		       struct exit_snapshot *snap)
{
	const size_t nr = array ? json_object_array_length(array) : 0;
	size_t i;

	if (!nr)
		return array;
	if (nr > MAX_ROWS)
		return false;
	snap->rows = calloc(nr, sizeof(*snap->rows));
	if (!snap->rows)
		return false;
	snap->nr_rows = nr;
	for (i = 0; i < nr; i++) {
		if (!parse_row(json_object_array_get_idx(array, i), section,
			       &snap->rows[i]))
			return false;
	}
	return snapshot_finish(snap);
}

static bool parse_bucket(struct json_object *array,
			 const struct recording_section *section,
			 struct latency_row *row)
{
	struct exit_row named = {};
	const char *time;

	if (!json_object_is_type(array, json_type_array) ||
	    json_object_array_length(array) < 4 ||
	    !parse_reason(json_object_array_get_idx(array, 0), &row->other,
			  &row->reason) ||
	    !json_object_is_type(json_object_array_get_idx(array, 1),
				 json_type_string) ||
	    !json_value_u64(json_object_array_get_idx(array, 2), UINT64_MAX,
			    &row->from) ||
	    !json_value_u64(json_object_array_get_idx(array, 3), UINT64_MAX,
			    &row->exits))
		return false;

	time = json_object_get_string(json_object_array_get_idx(array, 1));
	row->below = bucket_below(bucket_of(row->from));

	named.other = row->other;
	named.reason = row->reason;
	set_label(section, &named);
	strcpy(row->name, named.name);
	return latency_parse_time(time, &row->time);
}

static bool parse_latency(struct json_object *array,
			  const struct recording_section *section,
			  struct exit_latency *latency)
{
	const size_t nr = array ? json_object_array_length(array) : 0;
	size_t i;

	if (!nr)
		return true;
	if (nr > MAX_BUCKETS)
		return false;
	latency->rows = calloc(nr, sizeof(*latency->rows));
	if (!latency->rows)
		return false;
	latency->nr_rows = nr;
	for (i = 0; i < nr; i++) {
		if (!parse_bucket(json_object_array_get_idx(array, i), section,
				  &latency->rows[i]))
			return false;
	}
	return latency_finish(latency);
}

/* the two, with a dot between them */
static bool parse_id(const char *text, struct exit_scope *scope)
{
	char first[24];
	size_t len = strcspn(text, ".");

	if (len >= sizeof(first) || !text[len])
		return false;
	memcpy(first, text, len);
	first[len] = '\0';
	return parse_u64(first, UINT64_MAX, &scope->id[0]) &&
	       parse_u64(text + len + 1, UINT64_MAX, &scope->id[1]);
}

static bool parse_identity(struct json_object *object, struct exit_scope *scope)
{
	const char *vm = json_member_string(object, "vm");
	const char *id = json_member_string(object, "id");
	const char *name = json_member_string(object, "name");
	uint64_t vcpu = 0, pid;

	if (scope->kind == SCOPE_HOST)
		return true;
	if (!vm || !is_vm_id(vm) || (id && !parse_id(id, scope)))
		return false;
	strcpy(scope->vm, vm);
	if (name)
		scope_set_name(scope->name, name, strlen(name));
	json_member_text(object, "vmid", scope->vmid, sizeof(scope->vmid));
	if (json_member_u64(object, "pid", UINT32_MAX, &pid))
		scope->pid = pid;
	if (scope->kind == SCOPE_VCPU &&
	    !json_member_u64(object, "vcpu", UINT32_MAX, &vcpu))
		return false;
	scope->vcpu = vcpu;
	return true;
}

static bool parse_scope(struct json_object *object,
			const struct recording_section *section,
			struct exit_scan *scan)
{
	const struct recording_header *header = &section->header;
	struct exit_snapshot *snap;
	struct exit_scope *scope;
	enum scope_kind kind;
	bool has_clamped;
	const char *name;
	size_t i;

	name = json_object_is_type(object, json_type_object) ?
		       json_member_string(object, "scope") :
		       NULL;
	if (!name)
		return false;
	/* One that a later version may have. */
	if (!scope_parse_kind(name, &kind))
		return true;

	scope = scan_add(scan);
	if (!scope)
		return false;
	scope->kind = kind;
	snap = &scope->snap;
	strcpy(snap->isa, header->isa);
	snap->clock = header->clock;
	for (i = 0; i < header->nr_columns; i++) {
		if (header->columns[i] < NR_COUNTS)
			snap->has[header->columns[i]] = true;
	}
	return parse_identity(object, scope) &&
	       json_optional_u64(object, "guest_cycles",
				 &snap->has_guest_cycles,
				 &snap->guest_cycles) &&
	       json_optional_u64(object, "failed_entries", &snap->has_faults,
				 &snap->failed_entries) &&
	       json_optional_u64(object, "clamped", &has_clamped,
				 &snap->clamped) &&
	       parse_rows(json_member(object, "reasons", json_type_array),
			  section, snap) &&
	       parse_latency(json_member(object, "latency", json_type_array),
			     section, &scope->latency);
}

static bool parse_scopes(struct json_object *array,
			 const struct recording_section *section,
			 struct exit_scan *scan)
{
	const size_t nr = array ? json_object_array_length(array) : 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!parse_scope(json_object_array_get_idx(array, i), section,
				 scan))
			return false;
	}
	scan_sort(scan);
	for (i = 1; i < scan->nr_scopes; i++) {
		if (!scope_cmp(&scan->scopes[i - 1], &scan->scopes[i]))
			return false;
	}
	return array;
}

static bool parse_ended(struct json_object *array,
			struct recording_patch *patch)
{
	const size_t nr = array ? json_object_array_length(array) : 0;
	struct json_object *value;
	const char *vm;
	size_t i;

	if (!nr)
		return true;
	patch->ended = calloc(nr, sizeof(*patch->ended));
	if (!patch->ended)
		return false;
	for (i = 0; i < nr; i++) {
		value = json_object_array_get_idx(array, i);
		if (!json_object_is_type(value, json_type_string))
			return false;
		vm = json_object_get_string(value);
		if (!is_vm_id(vm))
			return false;
		strcpy(patch->ended[patch->nr_ended++], vm);
	}
	return true;
}

bool recording_parse_sample(struct json_object *object,
			    struct recording_section *section,
			    struct recording_patch *patch)
{
	struct json_object *full =
		json_member(object, "full", json_type_boolean);
	struct json_object *enabled =
		json_member(object, "enabled", json_type_boolean);
	bool found;

	*patch = (struct recording_patch){
		.full = full && json_object_get_boolean(full),
		.off = enabled && !json_object_get_boolean(enabled),
	};
	return json_member_seconds(object, "t", &patch->t) &&
	       json_optional_u64(object, "lost", &found, &patch->lost) &&
	       parse_labels(section,
			    json_member(object, "names", json_type_object)) &&
	       parse_ended(json_member(object, "ended", json_type_array),
			   patch) &&
	       parse_scopes(json_member(object, "scopes", json_type_array),
			    section, &patch->scan);
}

void recording_patch_free(struct recording_patch *patch)
{
	scan_free(&patch->scan);
	free(patch->ended);
}
