// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_read.h"
#include "base/message.h"
#include "base/parse.h"
#include "base/text.h"
#include "diff/read.h"
#include "recording/format.h"
#include "recording/sum.h"

/* A thousand VMs need some MiB. */
#define MAX_FILE_SIZE (64 << 20)
#define MAX_DEPTH 8
/* of one interval: a century */
#define MAX_SECONDS 3.2e9

/* Add a scope, of which the rows are borrowed. */
static int add_scope(struct diff_side *side, const struct exit_scope *scope)
{
	struct exit_snapshot *snap = &side->scope.snap;

	if (!side->nr_scopes++)
		scope_copy_empty(&side->scope, scope);
	return snapshot_add(snap, &scope->snap) ? STATUS_OK : out_of_memory();
}

static int read_recording(struct diff_side *side,
			  const struct exit_selection *sel)
{
	struct recording_sum sum;
	int status = recording_sum_read(&sum, side->path, sel);
	size_t i;

	if (!status)
		status = recording_sum_check(&sum, sel);
	if (!status)
		recording_sum_note(&sum);
	for (i = 0; !status && i < sum.scan.nr_scopes; i++)
		status = add_scope(side, &sum.scan.scopes[i]);
	side->interval = sum.scan.interval;
	recording_sum_free(&sum);
	return status;
}

static int not_ours(const struct diff_side *side)
{
	return fail(
		STATUS_ERROR,
		"%s is neither a recording nor what 'exitstat show --json' prints",
		side->path);
}

static const char *get_text(struct json_object *object, const char *key)
{
	const char *text = json_member_string(object, key);

	return text ? text : "";
}

static bool parse_row(struct json_object *object, bool ns, struct exit_row *row)
{
	uint64_t reason = 0;

	row->other = !json_member(object, "reason", json_type_int);
	if (!row->other &&
	    !json_member_u64(object, "reason", UINT32_MAX, &reason))
		return false;
	row->reason = reason;
	return parse_name(get_text(object, "name"), row->name,
			  sizeof(row->name)) &&
	       json_member_u64(object, "exits", UINT64_MAX,
			       &row->counts[COUNT_EXITS]) &&
	       json_member_u64(object, ns ? "handle_ns" : "handle_cycles",
			       UINT64_MAX, &row->counts[COUNT_HANDLE_CYCLES]);
}

static bool parse_scope(struct json_object *object, struct exit_scope *scope)
{
	struct json_object *rows =
		json_member(object, "reasons", json_type_array);
	struct exit_snapshot *snap = &scope->snap;
	const char *vm = get_text(object, "vm");
	const char *name = get_text(object, "vm_name");
	uint64_t vcpu = 0;
	struct exit_row *row;
	size_t i;

	if (!scope_parse_kind(get_text(object, "scope"), &scope->kind) ||
	    !rows || (*vm && !is_vm_id(vm, false)) ||
	    (scope->kind == SCOPE_VCPU &&
	     !json_member_u64(object, "vcpu", UINT32_MAX, &vcpu)))
		return false;
	scope->vcpu = vcpu;
	strcpy(scope->vm, vm);
	text_printable(scope->name, sizeof(scope->name), name, strlen(name));

	for (i = 0; i < json_object_array_length(rows); i++) {
		row = snapshot_add_row(snap);
		if (!row || !parse_row(json_object_array_get_idx(rows, i),
				       snap->clock.ns, row))
			return false;
	}
	return snapshot_finish(snap);
}

/* What of a document the user wants: without --vm its host, or the first. */
static int add_scopes(struct diff_side *side, struct json_object *scopes,
		      const struct exit_scope *head,
		      const struct exit_selection *sel)
{
	const size_t nr = json_object_array_length(scopes);
	size_t before = side->nr_scopes, i, pass;
	struct exit_scope scope;
	int status = STATUS_OK;

	for (pass = 0; pass < 2 && side->nr_scopes == before; pass++) {
		for (i = 0; !status && i < nr; i++) {
			scope = *head;
			if (!parse_scope(json_object_array_get_idx(scopes, i),
					 &scope))
				status = not_ours(side);
			else if (selection_has(sel, &scope) ||
				 (pass && sel->host && !i))
				status = add_scope(side, &scope);
			snapshot_free(&scope.snap);
		}
	}
	return status;
}

/* What a document says may be anything. */
static uint64_t to_ns(double seconds)
{
	seconds = fabs(seconds);
	return (seconds < MAX_SECONDS ? seconds : MAX_SECONDS) * 1e9 + 0.5;
}

static int add_document(struct diff_side *side, struct json_object *object,
			const struct exit_selection *sel, bool *since_load)
{
	struct json_object *scopes =
		json_member(object, "scopes", json_type_array);
	struct json_object *seconds =
		json_member(object, "seconds", json_type_double);
	struct exit_scope head = {};
	uint64_t number;

	if (strcmp(get_text(object, "schema"), "exitstat.show") || !scopes ||
	    !json_member_u64(object, "version", UINT64_MAX, &number))
		return not_ours(side);
	if (number > 1)
		return fail(STATUS_ERROR,
			    "%s is from a newer exitstat: update exitstat",
			    side->path);
	if (!json_object_array_length(scopes))
		return STATUS_OK;
	if (!parse_word(get_text(object, "isa"), head.snap.isa,
			sizeof(head.snap.isa)) ||
	    !json_member_u64(object, "tsc_khz", UINT32_MAX, &number))
		return not_ours(side);
	head.snap.clock.tsc_khz = number;
	head.snap.clock.ns = !strcmp(get_text(object, "units"), "ns");
	head.snap.has[COUNT_EXITS] = head.snap.has[COUNT_HANDLE_CYCLES] = true;

	/* Of several intervals the sum, else the last one. */
	*since_load = !seconds;
	if (side->nr_scopes &&
	    (!seconds ||
	     !clock_is_same(&head.snap.clock, &side->scope.snap.clock)))
		diff_free(side);
	if (seconds)
		side->interval += to_ns(json_object_get_double(seconds));
	return add_scopes(side, scopes, &head, sel);
}

static int read_documents(struct diff_side *side, const char *text, size_t len,
			  const struct exit_selection *sel)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *object;
	bool since_load = false, any = false;
	int status = STATUS_OK, flags;

	if (!tokener)
		return out_of_memory();
	flags = json_strict_flags(text, len);
	json_tokener_set_flags(tokener,
			       flags | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	for (;;) {
		while (len && strchr(" \t\r\n", *text) && *text) {
			text++;
			len--;
		}
		if (!len || status)
			break;
		json_tokener_reset(tokener);
		object = json_tokener_parse_ex(tokener, text, len);
		if (json_object_is_type(object, json_type_object))
			status = add_document(side, object, sel, &since_load);
		else
			status = not_ours(side);
		json_object_put(object);
		text += json_tokener_get_parse_end(tokener);
		len -= json_tokener_get_parse_end(tokener);
		any = true;
	}
	json_tokener_free(tokener);
	if (since_load)
		side->interval = 0;
	if (!any && !status)
		status = not_ours(side);
	return status;
}

static int read_show(struct diff_side *side, const struct exit_selection *sel)
{
	size_t len;
	char *text = read_file(side->path, MAX_FILE_SIZE, &len);
	int status;

	if (!text && errno == EINVAL)
		return fail(STATUS_ERROR, "%s is not a file", side->path);
	if (!text)
		return fail(STATUS_ERROR, "cannot read %s: %s", side->path,
			    strerror(errno));
	status = json_fits(text, len) ? read_documents(side, text, len, sel) :
					not_ours(side);
	free(text);
	if (!status && !side->nr_scopes)
		status = fail(STATUS_ERROR,
			      "%s has nothing that these options mean",
			      side->path);
	return status;
}

static bool is_recording(const char *path)
{
	static const char schema[] = "\"" RECORDING_SCHEMA "\"";
	char text[4096];
	ssize_t n;
	int fd = open_file(path);

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && memmem(text, n, schema, strlen(schema));
}

int diff_read(struct diff_side *side, const char *path,
	      const struct exit_selection *sel)
{
	*side = (struct diff_side){ .path = path };
	return is_recording(path) ? read_recording(side, sel) :
				    read_show(side, sel);
}

void diff_free(struct diff_side *side)
{
	snapshot_free(&side->scope.snap);
	*side = (struct diff_side){ .path = side->path };
}
