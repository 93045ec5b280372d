// SPDX-License-Identifier: GPL-2.0
/* What was counted in a whole recording. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/message.h"
#include "base/text.h"
#include "recording/input.h"
#include "recording/sum.h"

/* Bounds what a recording can make us keep. */
#define MAX_SUMS 65536
#define MAX_LISTED_VMS 16

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

static struct exit_scope *find(const struct exit_scan *scan,
			       const struct exit_scope *key)
{
	if (!scan->nr_scopes)
		return NULL;
	return bsearch(key, scan->scopes, scan->nr_scopes, sizeof(*key),
		       recording_compare);
}

static int too_many(const char *path)
{
	return fail(STATUS_ERROR,
		    "%s has more than %d VMs and vCPUs: choose some with --vm",
		    path, MAX_SUMS);
}

/* A place for each scope there is, whether it counts anything or not. */
static int add_places(struct recording_sum *sum,
		      const struct recording *recording,
		      const struct exit_selection *sel)
{
	const struct exit_scan *now = &recording->now;
	struct exit_scan *total = &sum->scan;
	size_t i, nr = total->nr_scopes;
	struct exit_scope *place;

	for (i = 0; i < now->nr_scopes; i++) {
		const struct exit_scope *scope = &now->scopes[i];
		const struct exit_scan known = {
			.scopes = total->scopes,
			.nr_scopes = nr,
		};

		if (!selection_has(sel, scope) || find(&known, scope))
			continue;
		if (total->nr_scopes == MAX_SUMS)
			return too_many(recording->path);
		place = scan_add(total);
		if (!place)
			return out_of_memory();
		scope_copy_empty(place, scope);
		place->snap.enabled = true;
		place->snap.clock = recording->clock;
		place->is_new = recording->has_difference &&
				scope->kind != SCOPE_HOST;
	}
	if (total->nr_scopes > nr)
		qsort(total->scopes, total->nr_scopes, sizeof(*total->scopes),
		      recording_compare);
	return STATUS_OK;
}

static int add_difference(struct recording_sum *sum,
			  const struct recording *recording)
{
	const struct exit_scan *difference = &recording->difference;
	struct exit_scope *place;
	size_t i;

	for (i = 0; i < difference->nr_scopes; i++) {
		place = find(&sum->scan, &difference->scopes[i]);
		if (place &&
		    !snapshot_add(&place->snap, &difference->scopes[i].snap))
			return out_of_memory();
	}
	sum->scan.interval += difference->interval;
	sum->nr_intervals++;
	return STATUS_OK;
}

/* Differences of other counters cannot be added to them. */
static int check_section(struct recording_sum *sum,
			 const struct recording *recording)
{
	if (recording->nr_sections == 1)
		sum->header = recording->section.header;
	else if (strcmp(sum->header.isa, recording->section.header.isa))
		return fail(
			STATUS_ERROR,
			"%s was recorded on hosts with %s and with %s, which have nothing in common",
			recording->path, sum->header.isa,
			recording->section.header.isa);
	return STATUS_OK;
}

/* Keep some, for a message. */
static void note_vms(struct recording_sum *sum,
		     const struct recording *recording)
{
	size_t i, v;

	for (i = 0; i < recording->now.nr_scopes; i++) {
		const struct exit_scope *scope = &recording->now.scopes[i];

		sum->any_vcpus |= scope->kind == SCOPE_VCPU;
		if (scope->latency.nr_rows) {
			sum->host_latency |= scope->kind == SCOPE_HOST;
			sum->vm_latency |= scope->kind != SCOPE_HOST;
		}
		if (scope->kind != SCOPE_VM)
			continue;
		for (v = 0; v < sum->nr_vms; v++) {
			if (!strcmp(sum->vms[v], scope->vm))
				break;
		}
		if (v == sum->nr_vms && v < ARRAY_SIZE(sum->vms))
			strcpy(sum->vms[sum->nr_vms++], scope->vm);
	}
}

int recording_sum_read(struct recording_sum *sum, const char *path,
		       const struct exit_selection *sel)
{
	struct recording recording;
	enum recording_event event;
	int status = recording_open(&recording, path);

	*sum = (struct recording_sum){ .path = recording.path };
	while (!status) {
		event = recording_next(&recording);
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
			note_vms(sum, &recording);
			status = add_places(sum, &recording, sel);
		}
		if (!status && recording.has_difference)
			status = add_difference(sum, &recording);
	}
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
	char list[MAX_LISTED_VMS * (VM_ID_SIZE + 2)] = "";
	size_t i;

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
	if (sum->scan.nr_scopes)
		return STATUS_OK;

	for (i = 0; i < sum->nr_vms; i++)
		text_append(list, sizeof(list), ", ", sum->vms[i]);
	if (sel->vcpus && !sum->any_vcpus)
		return fail(
			STATUS_ERROR,
			"%s has no vCPUs: give 'exitstat record' --vcpu all",
			sum->path);
	if (!sum->nr_vms)
		return fail(STATUS_ERROR, "%s has no VMs", sum->path);
	return fail(STATUS_ERROR,
		    "%s has nothing that these options mean; VMs in it are %s",
		    sum->path, list);
}

void recording_sum_note(const struct recording_sum *sum)
{
	char label[CLOCK_LABEL_SIZE];

	clock_label(&sum->header.clock, label);
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
}
