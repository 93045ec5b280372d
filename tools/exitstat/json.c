// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>

#include "output.h"

/* To be raised if a field changes its meaning or goes. */
#define JSON_VERSION 1

/* Takes @value, and false if there is none: nothing may turn into a null. */
static bool add(struct json_object *object, const char *key,
		struct json_object *value)
{
	if (!value)
		return false;

	if (json_object_object_add(object, key, value)) {
		json_object_put(value);
		return false;
	}
	return true;
}

static bool add_string(struct json_object *object, const char *key,
		       const char *value)
{
	return add(object, key, json_object_new_string(value));
}

static bool add_u64(struct json_object *object, const char *key, uint64_t value)
{
	return add(object, key, json_object_new_uint64(value));
}

static bool add_null(struct json_object *object, const char *key)
{
	return !json_object_object_add(object, key, NULL);
}

static bool add_counts(struct json_object *object,
		       const struct exit_snapshot *snap, const uint64_t *counts)
{
	size_t c;

	for (c = 0; c < NR_COUNTS; c++) {
		if (snap->has[c] &&
		    !add_u64(object, exit_count_names[c], counts[c]))
			return false;
	}
	return true;
}

static bool add_row(struct json_object *reasons,
		    const struct exit_snapshot *snap,
		    const struct exit_row *row)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return false;

	if (json_object_array_add(reasons, object)) {
		json_object_put(object);
		return false;
	}

	return (row->other ? add_null(object, "reason") :
			     add_u64(object, "reason", row->reason)) &&
	       add_string(object, "name", row->name) &&
	       add_counts(object, snap, row->counts);
}

static bool add_head(struct json_object *root, const struct exit_snapshot *snap)
{
	if (!add_string(root, "schema", "exitstat.snapshot") ||
	    !add_u64(root, "version", JSON_VERSION) ||
	    !add_string(root, "scope", snap->scope))
		return false;

	if (*snap->vm && !add_string(root, "vm", snap->vm))
		return false;

	if (!add_string(root, "isa", snap->isa) ||
	    !add_u64(root, "tsc_khz", snap->tsc_khz) ||
	    !add(root, "enabled", json_object_new_boolean(snap->enabled)))
		return false;

	if (!snap->has_faults)
		return add_null(root, "failed_entries") &&
		       add_null(root, "clamped");

	return add_u64(root, "failed_entries", snap->failed_entries) &&
	       add_u64(root, "clamped", snap->clamped) &&
	       (!snap->has_guest_cycles ||
		add_u64(root, "guest_cycles", snap->guest_cycles));
}

static bool add_body(struct json_object *root, const struct exit_snapshot *snap)
{
	struct json_object *reasons = json_object_new_array();
	struct json_object *total;
	size_t i;

	if (!add(root, "reasons", reasons))
		return false;

	for (i = 0; i < snap->nr_rows; i++) {
		if (!add_row(reasons, snap, &snap->rows[i]))
			return false;
	}

	total = json_object_new_object();
	return add(root, "total", total) &&
	       add_counts(total, snap, snap->total);
}

static bool json_print(FILE *out, const struct exit_snapshot *snap)
{
	struct json_object *root = json_object_new_object();
	const char *text = NULL;

	if (!root)
		return false;

	if (add_head(root, snap) && add_body(root, snap))
		text = json_object_to_json_string_ext(
			root, JSON_C_TO_STRING_PRETTY |
				      JSON_C_TO_STRING_SPACED |
				      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		fprintf(out, "%s\n", text);

	json_object_put(root);
	return text;
}

const struct output_format json_format = {
	.print = json_print,
};
