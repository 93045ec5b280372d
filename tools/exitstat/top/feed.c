// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "top/feed.h"

/* What the source does not have is left out. */
static void leave_out_vms(struct top_feed *feed)
{
	struct source *source = feed->source;
	char *text = feed->no_vms;
	const size_t size = sizeof(feed->no_vms);

	if (source->abilities & SOURCE_VMS)
		return;

	feed->sel.vms = false;
	source->told = true;
	if (source->abilities & SOURCE_FROM_INSIDE)
		snprintf(text, size,
			 "a guest sees only what its host tells, not VMs");
	else if (source->better)
		snprintf(text, size, "VMs need %s and root: %.400s",
			 source->better->name, source->why);
	else
		snprintf(text, size, "%s has only the host, not VMs",
			 source->ops->name);
}

/*
 * Let what was read for the first time be seen at once, to be chosen from; what
 * it counts is 0 so far.
 */
static bool add_new_scopes(struct top_feed *feed)
{
	struct exit_scan *shown = &feed->shown;
	const size_t nr = shown->nr_scopes;
	struct exit_scope *new;
	size_t i;

	for (i = 0; i < feed->now.nr_scopes; i++) {
		const struct exit_scope *scope = &feed->now.scopes[i];
		/* Those in order, as they were before. */
		const struct exit_scan before = {
			.scopes = shown->scopes,
			.nr_scopes = nr,
		};

		if (scan_find(&before, scope))
			continue;
		new = scan_add(shown);
		if (!new)
			return false;
		scope_copy_empty(new, scope);
	}
	scan_sort(shown);
	return true;
}

int feed_start(struct top_feed *feed, struct source *source,
	       const struct exit_selection *named)
{
	int status;

	*feed = (struct top_feed){
		.source = source,
		.named = named,
		.sel = *named,
	};
	/* All can be reached, wherever it begins. */
	feed->sel.host = true;
	feed->sel.vms = true;
	feed->sel.vcpus = false;
	feed->sel.nr_vcpus = true;
	leave_out_vms(feed);

	status = source_read(source, &feed->sel, &feed->now);
	feed->sel.may_have_ended = true;
	if (!status)
		status = selection_check_reasons(named, &feed->now);
	if (!status && !add_new_scopes(feed))
		status = out_of_memory();
	return status;
}

void feed_free(struct top_feed *feed)
{
	scan_free(&feed->now);
	scan_free(&feed->shown);
	scan_free(&feed->baseline);
}

static bool read_scan(struct top_feed *feed, const struct exit_selection *sel,
		      struct exit_scan *scan)
{
	int status;

	*feed->error = '\0';
	*scan = (struct exit_scan){};
	capture_messages(feed->error, sizeof(feed->error));
	status = source_read(feed->source, sel, scan);
	capture_messages(NULL, 0);

	if (status)
		scan_free(scan);
	return !status;
}

static bool lacks_memory(struct top_feed *feed)
{
	snprintf(feed->error, sizeof(feed->error), "out of memory");
	return false;
}

static bool show_difference(struct top_feed *feed, const struct exit_scan *now)
{
	struct exit_scan difference;

	if (!scan_copy(&difference, now))
		return lacks_memory(feed);

	scan_subtract(&difference,
		      feed->has_baseline ? &feed->baseline : &feed->now);
	selection_filter(feed->named, &difference);
	scan_free(&feed->shown);
	feed->shown = difference;
	return true;
}

bool feed_update(struct top_feed *feed, bool show)
{
	struct exit_selection sel = feed->sel;
	struct exit_scan scan;

	sel.vms = sel.vms && feed->details.vms;
	if (*feed->details.vm) {
		sel.details_of = feed->details.vm;
		sel.vcpus = true;
	}
	sel.host_latency = feed->details.host_latency;
	sel.vm_latency = feed->details.vm_latency;
	sel.vcpu_latency = feed->details.vcpu_latency;

	if (!read_scan(feed, &sel, &scan))
		return false;
	/* The baseline has all details of everything. */
	show = show && (feed->has_baseline || !feed->begin);
	if (show && !show_difference(feed, &scan)) {
		scan_free(&scan);
		return false;
	}
	feed->begin = false;
	scan_free(&feed->now);
	feed->now = scan;
	return true;
}

/* Was all of @new read already with @old? */
static bool has_details(const struct feed_details *old,
			const struct feed_details *new)
{
	if (*new->vm && strcmp(new->vm, old->vm))
		return false;
	return !(new->vms > old->vms || new->host_latency > old->host_latency ||
		 new->vm_latency > old->vm_latency ||
		 new->vcpu_latency > old->vcpu_latency);
}

bool feed_set_details(struct top_feed *feed, const struct feed_details *details,
		      bool show)
{
	const bool had = has_details(&feed->details, details);

	feed->details = *details;
	if (had)
		return true;
	feed->begin = true;
	if (!feed_update(feed, show) || !show)
		return false;
	if (feed->has_baseline)
		return true;
	return add_new_scopes(feed) ? false : lacks_memory(feed);
}

bool feed_set_baseline(struct top_feed *feed)
{
	struct exit_selection sel = feed->sel;
	struct exit_scan scan;

	if (sel.vms) {
		sel.vcpus = true;
		sel.vm_latency = true;
		sel.vcpu_latency = true;
	}
	sel.host_latency = true;
	if (!read_scan(feed, &sel, &scan))
		return false;

	feed_drop_baseline(feed);
	feed->baseline = scan;
	feed->has_baseline = true;
	return feed_update(feed, true);
}

void feed_drop_baseline(struct top_feed *feed)
{
	scan_free(&feed->baseline);
	feed->has_baseline = false;
}

struct exit_scope *feed_find(const struct exit_scan *scan,
			     const struct exit_scope *key)
{
	struct exit_scope *scope = scan_find(scan, key);

	return scope && scope_is_same(scope, key) ? scope : NULL;
}

struct exit_scope *feed_first(const struct exit_scan *scan)
{
	struct exit_scope *scope = scan->scopes;

	/* Of a guest that is this VM, which has no name in there. */
	return scan->nr_scopes && !*scope->vm ? scope : NULL;
}
