// SPDX-License-Identifier: GPL-2.0
/*
 * The pieces of a recording's lines
 *
 * They may have been damaged, or made to do damage.  What is there must be
 * valid; what is not known is ignored, as a later version may have it.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json_read.h"
#include "model/reasons.h"
#include "recording/recording.h"
#include "source/kvmtext.h"

/* More than any host has, so that memory stays bounded. */
#define MAX_ROWS 2048
#define MAX_BUCKETS 65536
#define MAX_LABELS 4096

/* KVM's buckets: all below 2^8 cycles, and then one to each power of two. */
#define FIRST_BUCKET_BITS 8
#define LAST_BUCKET_BITS 30

/* 2026-11-24T20:00:00.123Z, or 0 */
static uint64_t parse_time(const char *text)
{
	struct tm tm = {};
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) :
				 NULL;
	double fraction = 0;
	time_t seconds;

	if (!end)
		return 0;
	if (*end == '.')
		fraction = strtod(end, NULL);
	seconds = timegm(&tm);
	if (seconds < 0 || seconds > MAX_SECONDS || !(fraction >= 0) ||
	    fraction >= 1)
		return 0;
	return seconds * 1000000000ULL + (uint64_t)(fraction * 1e9 + 0.5);
}

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

bool recording_parse_header(struct json_object *object,
			    struct recording_header *header)
{
	const char *isa = json_member_string(object, "isa");
	uint64_t khz;

	*header = (struct recording_header){};
	if (!isa || !parse_word(isa, header->isa) ||
	    !json_member_u64(object, "tsc_khz", UINT32_MAX, &khz))
		return false;
	header->tsc_khz = khz;
	header->realtime = parse_time(json_member_string(object, "started"));
	json_member_seconds(object, "interval", &header->interval);
	json_member_name(object, "tool", header->tool);
	json_member_name(object, "host", header->host);
	json_member_name(object, "kernel", header->kernel);
	return parse_columns(json_member(object, "counts", json_type_array),
			     header);
}

static int compare_labels(const void *a, const void *b)
{
	const struct reason_label *x = a, *y = b;

	return (x->reason > y->reason) - (x->reason < y->reason);
}

static bool add_label(struct recording *recording, uint64_t reason,
		      const char *name)
{
	struct reason_label *labels = recording->labels, key = {};

	key.reason = reason;
	if (!parse_name(name, key.name) || recording->nr_labels == MAX_LABELS)
		return false;
	if (labels && bsearch(&key, labels, recording->nr_labels,
			      sizeof(*labels), compare_labels))
		return true;

	labels =
		reallocarray(labels, recording->nr_labels + 1, sizeof(*labels));
	if (!labels)
		return false;
	recording->labels = labels;
	labels[recording->nr_labels++] = key;
	qsort(labels, recording->nr_labels, sizeof(*labels), compare_labels);
	return true;
}

static bool parse_labels(struct recording *recording, struct json_object *names)
{
	uint64_t reason;

	if (!names)
		return true;
	json_object_object_foreach(names, key, value)
	{
		if (!parse_u64(key, UINT32_MAX, &reason) ||
		    !json_object_is_type(value, json_type_string) ||
		    !add_label(recording, reason,
			       json_object_get_string(value)))
			return false;
	}
	return true;
}

static void set_label(const struct recording *recording, struct exit_row *row)
{
	const struct reason_label key = { .reason = row->reason }, *label;
	const bool svm = !strcmp(recording->header.isa, "svm");
	const char *name;

	if (row->other) {
		strcpy(row->name, "OTHER");
		return;
	}
	label = recording->nr_labels ?
			bsearch(&key, recording->labels, recording->nr_labels,
				sizeof(key), compare_labels) :
			NULL;
	if (label) {
		strcpy(row->name, label->name);
		return;
	}
	/* The line that named it was damaged. */
	name = reason_name(svm ? &svm_reasons : &vmx_reasons, row->reason);
	if (name)
		reason_label(row->name, name);
	else
		snprintf(row->name, sizeof(row->name), "UNKNOWN_%u",
			 row->reason);
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
		      const struct recording *recording, struct exit_row *row)
{
	const struct recording_header *header = &recording->header;
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
	set_label(recording, row);
	return true;
}

static bool parse_rows(struct json_object *array,
		       const struct recording *recording,
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
		if (!parse_row(json_object_array_get_idx(array, i), recording,
			       &snap->rows[i]))
			return false;
	}
	return snapshot_finish(snap);
}

static bool parse_bucket(struct json_object *array,
			 const struct recording *recording,
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
	for (row->time = 0; row->time < NR_LATENCY_TIMES; row->time++) {
		if (!strcmp(time, latency_time_names[row->time]))
			break;
	}
	if (row->from >= 1ULL << LAST_BUCKET_BITS)
		row->below = UINT64_MAX;
	else
		row->below = row->from ? 2 * row->from : 1 << FIRST_BUCKET_BITS;

	named.other = row->other;
	named.reason = row->reason;
	set_label(recording, &named);
	strcpy(row->name, named.name);
	return row->time < NR_LATENCY_TIMES;
}

static bool parse_latency(struct json_object *array,
			  const struct recording *recording,
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
		if (!parse_bucket(json_object_array_get_idx(array, i),
				  recording, &latency->rows[i]))
			return false;
	}
	qsort(latency->rows, nr, sizeof(*latency->rows), latency_row_cmp);
	for (i = 1; i < nr; i++) {
		if (!latency_row_cmp(&latency->rows[i - 1], &latency->rows[i]))
			return false;
	}
	return true;
}

/* <inode>.<starttime> */
static bool parse_id(const char *text, struct exit_scope *scope)
{
	char inode[24];
	size_t len = strcspn(text, ".");

	if (len >= sizeof(inode) || !text[len])
		return false;
	memcpy(inode, text, len);
	inode[len] = '\0';
	return parse_u64(inode, UINT64_MAX, &scope->inode) &&
	       parse_u64(text + len + 1, UINT64_MAX, &scope->start_time);
}

static bool parse_identity(struct json_object *object, struct exit_scope *scope)
{
	const char *vm = json_member_string(object, "vm");
	const char *id = json_member_string(object, "id");
	uint64_t vcpu = 0;

	if (scope->kind == SCOPE_HOST)
		return true;
	if (!vm || !is_vm_id(vm, false) || (id && !parse_id(id, scope)))
		return false;
	strcpy(scope->vm, vm);
	json_member_name(object, "name", scope->name);
	if (scope->kind == SCOPE_VCPU &&
	    !json_member_u64(object, "vcpu", UINT32_MAX, &vcpu))
		return false;
	scope->vcpu = vcpu;
	return true;
}

/* False also if it is of a kind that is not known, and then *@known. */
static bool parse_kind(struct json_object *object, enum scope_kind *kind,
		       bool *known)
{
	const char *name = json_member_string(object, "scope");
	struct exit_scope scope = {};

	*known = false;
	for (; name && scope.kind <= SCOPE_VCPU; scope.kind++) {
		if (!strcmp(name, scope_name(&scope))) {
			*kind = scope.kind;
			*known = true;
			break;
		}
	}
	return name;
}

static bool parse_scope(struct json_object *object,
			const struct recording *recording,
			struct exit_scan *scan)
{
	const struct recording_header *header = &recording->header;
	struct exit_snapshot *snap;
	struct exit_scope *scope;
	enum scope_kind kind;
	bool known, has_clamped;
	size_t i;

	if (!json_object_is_type(object, json_type_object) ||
	    !parse_kind(object, &kind, &known))
		return false;
	if (!known)
		return true;

	scope = scan_add(scan);
	if (!scope)
		return false;
	scope->kind = kind;
	snap = &scope->snap;
	strcpy(snap->isa, header->isa);
	strcpy(snap->scope, scope_name(scope));
	snap->tsc_khz = header->tsc_khz;
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
			  recording, snap) &&
	       parse_latency(json_member(object, "latency", json_type_array),
			     recording, &scope->latency);
}

static bool parse_scopes(struct json_object *array,
			 const struct recording *recording,
			 struct exit_scan *scan)
{
	const size_t nr = array ? json_object_array_length(array) : 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!parse_scope(json_object_array_get_idx(array, i), recording,
				 scan))
			return false;
	}
	if (scan->nr_scopes)
		qsort(scan->scopes, scan->nr_scopes, sizeof(*scan->scopes),
		      scope_cmp);
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
		if (!is_vm_id(vm, false))
			return false;
		strcpy(patch->ended[patch->nr_ended++], vm);
	}
	return true;
}

bool recording_parse_sample(struct json_object *object,
			    struct recording *recording,
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
	       parse_labels(recording,
			    json_member(object, "names", json_type_object)) &&
	       parse_ended(json_member(object, "ended", json_type_array),
			   patch) &&
	       parse_scopes(json_member(object, "scopes", json_type_array),
			    recording, &patch->scan);
}

void recording_patch_free(struct recording_patch *patch)
{
	scan_free(&patch->scan);
	free(patch->ended);
}
