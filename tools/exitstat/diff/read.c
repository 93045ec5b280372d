// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/input.h"
#include "base/json_read.h"
#include "base/message.h"
#include "base/parse.h"
#include "diff/read.h"
#include "recording/input.h"
#include "recording/sum.h"

/* A thousand VMs need some MiB. */
#define MAX_FILE_SIZE (64 << 20)
#define MAX_DEPTH 8
/* of one interval: a century */
#define MAX_SECONDS 3.2e9

/* What the documents of a file have in all. */
struct show {
	const char *path;
	const struct exit_selection *sel;
	struct exit_scan scan;
	/* how long one of its scopes was there, ns */
	uint64_t interval;
	/* of totals the last one counts, of intervals their sum */
	bool totals, intervals;
	bool any;
};

/* The sum of what @scan has, of which the rows are borrowed. */
static int add_up(struct diff_side *side, const struct exit_scan *scan)
{
	struct exit_snapshot *snap = &side->scope.snap;
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++) {
		if (!i)
			scope_copy_empty(&side->scope, &scan->scopes[i]);
		if (!snapshot_add(snap, &scan->scopes[i].snap))
			return out_of_memory();
	}
	side->nr_scopes = scan->nr_scopes;
	return STATUS_OK;
}

static int read_recording(struct diff_side *side, struct input *input,
			  const struct exit_selection *sel)
{
	struct recording_sum sum;
	int status = recording_sum_input(&sum, input, sel, NULL);

	if (!status)
		status = recording_sum_check(&sum, sel);
	if (!status)
		status = selection_check_reasons(sel, &sum.scan);
	if (!status) {
		recording_sum_note(&sum);
		side->facts = sum.header.facts;
		status = add_up(side, &sum.scan);
	}
	side->interval = sel->host ? sum.scan.interval : sum.vm_interval;
	if (sum.scan.nr_scopes == 1)
		side->interval =
			scan_scope_interval(&sum.scan, &sum.scan.scopes[0]);
	recording_sum_free(&sum);
	return status;
}

static int not_ours(const struct show *show)
{
	return fail(
		STATUS_ERROR,
		"%s is neither a recording nor what 'exitstat show --json' prints",
		show->path);
}

static const char *get_text(struct json_object *object, const char *key)
{
	const char *text = json_member_string(object, key);

	return text ? text : "";
}

/* Counts that not each source has. */
static void parse_optional(struct json_object *object, const char *key,
			   enum exit_counter counter,
			   struct exit_snapshot *snap, struct exit_row *row)
{
	if (json_member_u64(object, key, UINT64_MAX, &row->counts[counter]))
		snap->has[counter] = true;
}

static bool parse_row(struct json_object *object, struct exit_snapshot *snap,
		      struct exit_row *row)
{
	const bool ns = snap->clock.ns;
	uint64_t reason = 0;

	row->other = !json_member(object, "reason", json_type_int);
	if (!row->other &&
	    !json_member_u64(object, "reason", UINT32_MAX, &reason))
		return false;
	row->reason = reason;
	parse_optional(object, ns ? "user_ns" : "user_cycles",
		       COUNT_USER_CYCLES, snap, row);
	parse_optional(object, ns ? "preempted_ns" : "preempted_cycles",
		       COUNT_PREEMPTED_CYCLES, snap, row);
	return parse_name(get_text(object, "name"), row->name,
			  sizeof(row->name)) &&
	       json_member_u64(object, "exits", UINT64_MAX,
			       &row->counts[COUNT_EXITS]) &&
	       json_member_u64(object, ns ? "handle_ns" : "handle_cycles",
			       UINT64_MAX, &row->counts[COUNT_HANDLE_CYCLES]);
}

/* What a document says may be anything. */
static uint64_t to_ns(double seconds)
{
	seconds = fabs(seconds);
	return (seconds < MAX_SECONDS ? seconds : MAX_SECONDS) * 1e9 + 0.5;
}

static bool parse_scope(struct json_object *object, struct exit_scope *scope)
{
	struct json_object *rows =
		json_member(object, "reasons", json_type_array);
	struct exit_snapshot *snap = &scope->snap;
	const char *vm = get_text(object, "vm");
	const char *name = get_text(object, "vm_name");
	struct json_object *seconds =
		json_member(object, "seconds", json_type_double);
	uint64_t vcpu = 0;
	struct exit_row *row;
	size_t i;

	if (!scope_parse_kind(get_text(object, "scope"), &scope->kind) ||
	    !rows || (*vm && !is_vm_id(vm)) ||
	    (scope->kind == SCOPE_VCPU &&
	     !json_member_u64(object, "vcpu", UINT32_MAX, &vcpu)))
		return false;
	scope->vcpu = vcpu;
	strcpy(scope->vm, vm);
	scope_set_name(scope->name, name, strlen(name));
	if (seconds)
		scope->interval = to_ns(json_object_get_double(seconds));

	for (i = 0; i < json_object_array_length(rows); i++) {
		row = snapshot_add_row(snap);
		if (!row ||
		    !parse_row(json_object_array_get_idx(rows, i), snap, row))
			return false;
	}
	return snapshot_finish(snap);
}

/* Add one that the user wants to those of the documents before. */
static int add_scope(struct show *show, const struct exit_scope *scope)
{
	struct exit_scope *place;
	size_t i;

	for (i = 0; i < show->scan.nr_scopes; i++) {
		if (!scope_cmp(&show->scan.scopes[i], scope))
			break;
	}
	if (i == show->scan.nr_scopes) {
		place = scan_add(&show->scan);
		if (!place)
			return out_of_memory();
		scope_copy_empty(place, scope);
	}
	place = &show->scan.scopes[i];
	if (!clock_is_same(&place->snap.clock, &scope->snap.clock))
		return fail(
			STATUS_ERROR,
			"%s has times of two clocks: compare what is of one",
			show->path);
	return snapshot_add(&place->snap, &scope->snap) ? STATUS_OK :
							  out_of_memory();
}

/* What of a document the user wants: without --vm its host, or the first. */
static int add_scopes(struct show *show, const struct exit_scan *document,
		      uint64_t interval)
{
	uint64_t longest = 0;
	bool any = false;
	size_t i, pass;
	int status = STATUS_OK;

	selection_find(show->sel, document);
	for (pass = 0; pass < 2 && !any; pass++) {
		for (i = 0; !status && i < document->nr_scopes; i++) {
			const struct exit_scope *scope = &document->scopes[i];

			if (!selection_has(show->sel, scope) &&
			    !(pass && show->sel->host && !i))
				continue;
			status = add_scope(show, scope);
			any = true;
			if (!scope->interval)
				longest = interval;
			if (scope->interval > longest)
				longest = scope->interval;
		}
	}
	show->interval += longest;
	return status;
}

static int parse_scopes(struct show *show, struct exit_scan *document,
			struct json_object *scopes,
			const struct exit_scope *head)
{
	struct exit_scope *scope;
	size_t i;

	for (i = 0; i < json_object_array_length(scopes); i++) {
		scope = scan_add(document);
		if (!scope)
			return out_of_memory();
		*scope = *head;
		if (!parse_scope(json_object_array_get_idx(scopes, i), scope))
			return not_ours(show);
	}
	return selection_check_reasons(show->sel, document);
}

/* Totals and what was counted in a time have no sum. */
static int check_kind(struct show *show, bool interval)
{
	*(interval ? &show->intervals : &show->totals) = true;
	if (show->totals && show->intervals)
		return fail(
			STATUS_ERROR,
			"%s has both totals and intervals: compare those of one kind",
			show->path);
	/* Of the same counters the later is more. */
	if (!interval)
		scan_free(&show->scan);
	return STATUS_OK;
}

static int add_document(struct show *show, struct json_object *object)
{
	struct json_object *scopes =
		json_member(object, "scopes", json_type_array);
	struct json_object *seconds =
		json_member(object, "seconds", json_type_double);
	struct exit_scan document = {};
	struct exit_scope head = {};
	uint64_t number;
	int status;

	if (strcmp(get_text(object, "schema"), "exitstat.show") || !scopes ||
	    !json_member_u64(object, "version", UINT64_MAX, &number))
		return not_ours(show);
	if (number > 1)
		return fail(STATUS_ERROR,
			    "%s is from a newer exitstat: update exitstat",
			    show->path);
	if (!json_object_array_length(scopes))
		return STATUS_OK;
	if (!parse_word(get_text(object, "isa"), head.snap.isa,
			sizeof(head.snap.isa)) ||
	    !json_member_u64(object, "tsc_khz", UINT32_MAX, &number))
		return not_ours(show);
	head.snap.clock.tsc_khz = number;
	head.snap.clock.ns = !strcmp(get_text(object, "units"), "ns");
	head.snap.has[COUNT_EXITS] = head.snap.has[COUNT_HANDLE_CYCLES] = true;

	status = check_kind(show, seconds);
	if (!status)
		status = parse_scopes(show, &document, scopes, &head);
	if (!status)
		status = add_scopes(
			show, &document,
			seconds ? to_ns(json_object_get_double(seconds)) : 0);
	scan_free(&document);
	return status;
}

static int read_documents(struct show *show, const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *object;
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
			status = add_document(show, object);
		else
			status = not_ours(show);
		json_object_put(object);
		text += json_tokener_get_parse_end(tokener);
		len -= json_tokener_get_parse_end(tokener);
		show->any = true;
	}
	json_tokener_free(tokener);
	if (!show->any && !status)
		status = not_ours(show);
	return status;
}

/* Did the documents have what the user named? */
static int check_named(const struct show *show)
{
	const struct vm_pattern *missing = selection_missing(show->sel);

	if (missing)
		return fail(STATUS_ERROR, "%s has no VM %s", show->path,
			    missing->text);
	if (!show->scan.nr_scopes)
		return fail(STATUS_ERROR,
			    "%s has nothing that these options mean",
			    show->path);
	return STATUS_OK;
}

static int read_show(struct diff_side *side, struct input *input,
		     const struct exit_selection *sel)
{
	struct exit_selection numbered = *sel;
	struct show show = { .path = side->path, .sel = &numbered };
	size_t len;
	char *text = input_read_all(input, MAX_FILE_SIZE, &len);
	int status;

	/* As 'exitstat report' has given them. */
	numbered.numbered = true;
	if (!text)
		return fail(STATUS_ERROR, "cannot read %s: %s", side->path,
			    strerror(errno));
	status = json_fits(text, len) ? read_documents(&show, text, len) :
					not_ours(&show);
	free(text);
	if (!status)
		status = check_named(&show);
	if (!status)
		status = add_up(side, &show.scan);
	side->interval = show.interval;
	scan_free(&show.scan);
	return status;
}

int diff_read(struct diff_side *side, const char *path,
	      const struct exit_selection *sel)
{
	struct input input;
	int status = input_open(&input, path);

	*side = (struct diff_side){ .path = input.path };
	if (!status)
		status = recording_is_one(&input) ?
				 read_recording(side, &input, sel) :
				 read_show(side, &input, sel);
	input_close(&input);
	return status;
}

void diff_free(struct diff_side *side)
{
	snapshot_free(&side->scope.snap);
	*side = (struct diff_side){ .path = side->path };
}
