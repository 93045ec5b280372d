// SPDX-License-Identifier: GPL-2.0
/* What was counted in a whole recording. */
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "recording/input.h"
#include "recording/sum.h"

/* Bounds what a recording can make us keep. */
#define MAX_SUMS (1 << 20)
/* for a message */
#define MAX_LISTED_VMS 16

/* What is added up of a scope; the tree compares it as one. */
struct place {
	struct exit_scope scope;
	/* the interval in which it came, and the time that its vCPUs had in that */
	uint64_t first_interval;
	double first_time;
};

/* What is added up, while it is read. */
struct adder {
	struct recording_sum *sum;
	const struct exit_selection *sel;
	/* of struct place, by recording_compare() */
	void *places;
	size_t nr_places;
	/* those that are there now, and since when in @sum's interval */
	struct place **present;
	size_t nr_present;
	uint64_t since;
};

/* As scope_cmp(), and by who they are if <pid>-<fd> came again. */
int recording_compare(const void *a, const void *b)
{
	const struct exit_scope *x = a, *y = b;
	int order = scope_cmp(x, y);

	if (order)
		return order;
	if (x->id[1] != y->id[1])
		return x->id[1] < y->id[1] ? -1 : 1;
	return (x->id[0] > y->id[0]) - (x->id[0] < y->id[0]);
}

static struct place *find(const struct adder *adder,
			  const struct exit_scope *key)
{
	struct place *const *place =
		tfind(key, &adder->places, recording_compare);

	return place ? *place : NULL;
}

static struct place *add_place(struct adder *adder,
			       const struct recording *recording,
			       const struct exit_scope *scope)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place)
		return NULL;
	scope_copy_empty(&place->scope, scope);
	place->scope.snap.enabled = true;
	place->scope.snap.clock = recording->clock;
	if (recording->has_difference && scope->kind != SCOPE_HOST) {
		place->scope.is_new = true;
		place->first_interval = recording->difference.interval;
	}
	if (!tsearch(place, &adder->places, recording_compare)) {
		free(place);
		return NULL;
	}
	adder->nr_places++;
	return place;
}

/* How long those were there that were until now. */
static void end_presence(struct adder *adder)
{
	const uint64_t now = adder->sum->scan.interval;
	size_t i;

	for (i = 0; i < adder->nr_present; i++)
		adder->present[i]->scope.interval += now - adder->since;
	adder->nr_present = 0;
	adder->since = now;
}

/* A place for each scope there is, whether it counts anything or not. */
static int find_places(struct adder *adder, const struct recording *recording)
{
	const struct exit_scan *now = &recording->now;
	struct place **present, *place;
	size_t i;

	end_presence(adder);
	present = reallocarray(adder->present, now->nr_scopes + 1,
			       sizeof(*present));
	if (!present)
		return out_of_memory();
	adder->present = present;
	selection_find(adder->sel, now);

	for (i = 0; i < now->nr_scopes; i++) {
		if (!selection_has(adder->sel, &now->scopes[i]))
			continue;
		place = find(adder, &now->scopes[i]);
		if (!place && adder->nr_places == MAX_SUMS)
			return fail(
				STATUS_ERROR,
				"%s has more than %d VMs and vCPUs: choose some with --vm",
				recording->path, MAX_SUMS);
		if (!place)
			place = add_place(adder, recording, &now->scopes[i]);
		if (!place)
			return out_of_memory();
		present[adder->nr_present++] = place;
	}
	return STATUS_OK;
}

static int add_difference(struct adder *adder,
			  const struct recording *recording)
{
	const struct exit_scan *difference = &recording->difference;
	struct recording_sum *sum = adder->sum;
	struct place *place;
	struct exit_time time;
	size_t i;

	for (i = 0; i < difference->nr_scopes; i++) {
		const struct exit_scope *scope = &difference->scopes[i];

		place = find(adder, scope);
		if (!place)
			continue;
		if (!place->scope.snap.nr_rows && place->first_interval &&
		    snapshot_time(&scope->snap, &time))
			place->first_time = exit_time_all(&time);
		if (!snapshot_add(&place->scope.snap, &scope->snap))
			return out_of_memory();
	}
	for (i = 0; i < adder->nr_present; i++) {
		if (adder->present[i]->scope.kind == SCOPE_HOST)
			continue;
		sum->vm_interval += difference->interval;
		break;
	}
	sum->scan.interval += difference->interval;
	sum->nr_intervals++;
	return STATUS_OK;
}

/*
 * Of the interval in which it came it was there for a part, as long as its vCPUs had
 * time in it: each has as much as passes.  How many they are is seen later.
 */
static void correct_presence(struct place *place)
{
	struct exit_scope *scope = &place->scope;
	const double later = scope->interval - place->first_interval;
	const double per_ms = clock_per_ms(&scope->snap.clock);
	double per_ns = per_ms / 1e6, first;
	struct exit_time time;

	if (!(place->first_time > 0) || !snapshot_time(&scope->snap, &time))
		return;
	if (later > 0)
		per_ns = (exit_time_all(&time) - place->first_time) / later;
	first = per_ns > 0 ? place->first_time / per_ns : 0;
	if (first > 0 && first < place->first_interval)
		scope->interval += first - place->first_interval;
}

static void move_place(const void *node, VISIT visit, void *data)
{
	struct place *place = *(struct place *const *)node;
	struct adder *adder = data;
	struct exit_scan *scan = &adder->sum->scan;
	struct exit_scope *to;

	if (visit != postorder && visit != leaf)
		return;
	/* Another VM, that came later, is the one that was meant. */
	to = selection_has(adder->sel, &place->scope) ? scan_add(scan) : NULL;
	if (!to)
		return;
	correct_presence(place);
	*to = place->scope;
	if (to->interval == scan->interval)
		to->interval = 0;
	/* What moved is not freed with the place. */
	place->scope.snap.rows = NULL;
}

static void free_place(void *data)
{
	struct place *place = data;

	scope_free(&place->scope);
	free(place);
}

/* In order, as a tree is. */
static void move_places(struct adder *adder)
{
	end_presence(adder);
	twalk_r(adder->places, move_place, adder);
	tdestroy(adder->places, free_place);
	free(adder->present);
}

/* Differences of other counters cannot be added to them. */
static int check_section(struct recording_sum *sum,
			 const struct recording *recording)
{
	const struct recording_header *header = &recording->section.header;

	if (recording->nr_sections == 1)
		sum->header = *header;
	if (strcmp(sum->header.host, header->host) && !*sum->other_host)
		strcpy(sum->other_host, header->host);
	if (strcmp(sum->header.isa, recording->section.header.isa))
		return fail(
			STATUS_ERROR,
			"%s was recorded on hosts with %s and with %s, which have nothing in common",
			recording->path, sum->header.isa,
			recording->section.header.isa);
	return STATUS_OK;
}

/* Keep some, for a message. */
static int note_vms(struct recording_sum *sum,
		    const struct recording *recording)
{
	struct exit_scope *vm;
	size_t i, v;

	for (i = 0; i < recording->now.nr_scopes; i++) {
		const struct exit_scope *scope = &recording->now.scopes[i];

		sum->any_vcpus |= scope->kind == SCOPE_VCPU;
		if (scope->latency.nr_rows) {
			sum->host_latency |= scope->kind == SCOPE_HOST;
			sum->vm_latency |= scope->kind != SCOPE_HOST;
		}
		if (scope->kind != SCOPE_VM ||
		    sum->vms.nr_scopes == MAX_LISTED_VMS)
			continue;
		for (v = 0; v < sum->vms.nr_scopes; v++) {
			if (scope_is_same(&sum->vms.scopes[v], scope))
				break;
		}
		if (v < sum->vms.nr_scopes)
			continue;
		vm = scan_add(&sum->vms);
		if (!vm)
			return out_of_memory();
		scope_copy_empty(vm, scope);
	}
	return STATUS_OK;
}

int recording_sum_read(struct recording_sum *sum, const char *path,
		       const struct exit_selection *sel,
		       struct progress *progress)
{
	struct input input;
	int status = input_open(&input, path);

	if (!status)
		return recording_sum_input(sum, &input, sel, progress);
	*sum = (struct recording_sum){ .path = input.path };
	input_close(&input);
	return status;
}

int recording_sum_input(struct recording_sum *sum, struct input *input,
			const struct exit_selection *sel,
			struct progress *progress)
{
	struct recording recording;
	enum recording_event event;
	struct adder adder = { .sum = sum, .sel = sel };
	int status = recording_begin(&recording, input);

	*sum = (struct recording_sum){ .path = recording.path };
	while (!status) {
		event = recording_next(&recording);
		progress_update(progress, input_progress(&recording.input));
		if (event == RECORDING_EOF)
			break;
		if (event == RECORDING_FAILED)
			status = STATUS_ERROR;
		else if (event == RECORDING_SECTION)
			status = check_section(sum, &recording);
		if (status || event != RECORDING_SAMPLE)
			continue;

		sum->scan.realtime = recording.now.realtime;
		sum->span = recording.time;
		if (recording.scopes_changed) {
			status = note_vms(sum, &recording);
			if (!status)
				status = find_places(&adder, &recording);
		}
		if (!status && recording.has_difference)
			status = add_difference(&adder, &recording);
	}
	move_places(&adder);
	sum->nr_samples = recording.nr_samples;
	sum->nr_sections = recording.nr_sections;
	sum->nr_lost = recording.nr_lost;
	sum->nr_skipped = recording.nr_skipped;
	sum->nr_off = recording.nr_off;
	sum->other_clock = recording.other_clock;
	strcpy(sum->scan.source, sum->header.source);
	recording_free(&recording);
	return status;
}

int recording_sum_check(const struct recording_sum *sum,
			const struct exit_selection *sel)
{
	const struct vm_pattern *missing = selection_missing(sel);
	char list[VM_LIST_SIZE];

	if (!sum->nr_sections)
		return fail(
			STATUS_ERROR,
			"%s is empty: it is no recording of 'exitstat record'",
			sum->path);
	if (!sum->nr_samples)
		return fail(STATUS_ERROR, "%s has no samples", sum->path);
	if (!sum->scan.interval)
		return fail(
			STATUS_ERROR,
			"%s has a first sample alone, and no time after it in which exits could be counted",
			sum->path);
	if (sum->scan.nr_scopes && !missing)
		return STATUS_OK;

	list_vms(&sum->vms, list, sizeof(list));
	if (!missing && sel->vcpus && !sum->any_vcpus)
		return fail(
			STATUS_ERROR,
			"%s has no vCPUs: give 'exitstat record' --vcpu all",
			sum->path);
	if (!*list)
		return fail(STATUS_ERROR, "%s has no VMs", sum->path);
	if (missing)
		return fail(STATUS_ERROR, "%s has no VM %s; VMs in it are %s",
			    sum->path, missing->text, list);
	return fail(STATUS_ERROR,
		    "%s has nothing that these options mean; VMs in it are %s",
		    sum->path, list);
}

/* In the order in which their processes began. */
static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	if (x[1] != y[1])
		return x[1] < y[1] ? -1 : 1;
	return (x[0] > y[0]) - (x[0] < y[0]);
}

/* The @nr scopes of one <pid>-<fd>.  False if memory runs out. */
static bool number_vms(struct exit_scope *scopes, size_t nr)
{
	uint64_t(*ids)[2] = calloc(nr, sizeof(*ids)), *id;
	size_t i, nr_ids = 0;

	if (!ids)
		return false;
	for (i = 0; i < nr; i++)
		memcpy(ids[i], scopes[i].id, sizeof(ids[i]));
	qsort(ids, nr, sizeof(*ids), compare_ids);
	for (i = 0; i < nr; i++) {
		if (!nr_ids || compare_ids(ids[nr_ids - 1], ids[i]))
			memmove(ids[nr_ids++], ids[i], sizeof(ids[i]));
	}
	for (i = 0; i < nr; i++) {
		char *vm = scopes[i].vm;
		const size_t len = strnlen(vm, VM_ID_SIZE - 12);

		id = bsearch(scopes[i].id, ids, nr_ids, sizeof(*ids),
			     compare_ids);
		if (id != ids[0])
			snprintf(vm + len, VM_ID_SIZE - len, "#%zu",
				 (size_t)(id - ids[0]) / 2 + 1);
	}
	free(ids);
	return true;
}

int recording_sum_number(struct recording_sum *sum,
			 const struct exit_selection *sel)
{
	struct exit_scope *scopes = sum->scan.scopes;
	struct exit_selection numbered;
	size_t i, end, nr = 0;
	bool none;

	for (i = 0; i < sum->scan.nr_scopes; i = end) {
		for (end = i + 1; end < sum->scan.nr_scopes &&
				  !strcmp(scopes[end].vm, scopes[i].vm);)
			end++;
		if (!number_vms(&scopes[i], end - i))
			return out_of_memory();
	}
	if (!sel)
		return STATUS_OK;
	numbered = *sel;
	numbered.numbered = true;
	/* So far all of one <pid>-<fd> were taken. */
	for (i = 0; i < sum->scan.nr_scopes; i++) {
		if (selection_has(&numbered, &scopes[i]))
			scopes[nr++] = scopes[i];
		else
			scope_free(&scopes[i]);
	}
	none = sum->scan.nr_scopes && !nr;
	sum->scan.nr_scopes = nr;
	if (none)
		return fail(STATUS_ERROR, "%s has no VM %s", sum->path,
			    sel->vm_patterns[0].text);
	return STATUS_OK;
}

void recording_sum_note(const struct recording_sum *sum)
{
	char label[CLOCK_LABEL_SIZE];

	clock_label(&sum->header.clock, label);
	if (*sum->other_host)
		note("%s was recorded on %s and on %s: what is shown is of all of them together",
		     sum->path, sum->header.host, sum->other_host);
	if (sum->other_clock)
		note("%s was recorded by clocks that differ: all times are told by the first, %s, and histograms are those of that one",
		     sum->path, label);
	if (sum->nr_skipped)
		note("%s: lines that were skipped as they are damaged: %" PRIu64,
		     sum->path, sum->nr_skipped);
	if (sum->nr_lost)
		note("%s: samples that were lost while it was recorded: %" PRIu64,
		     sum->path, sum->nr_lost);
	if (sum->nr_off)
		note("%s: samples at which exit accounting was off: %" PRIu64,
		     sum->path, sum->nr_off);
}

void recording_sum_free(struct recording_sum *sum)
{
	scan_free(&sum->scan);
	scan_free(&sum->vms);
}
