// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "model/scan.h"

struct exit_scope *scan_add(struct exit_scan *scan)
{
	/* Doubled whenever it is full, at each power of two. */
	size_t nr = scan->nr_scopes;
	struct exit_scope *scopes = scan->scopes;

	if (!(nr & (nr - 1))) {
		scopes = reallocarray(scopes, nr ? 2 * nr : 1, sizeof(*scopes));
		if (!scopes)
			return NULL;
		scan->scopes = scopes;
	}
	scan->nr_scopes++;
	memset(&scopes[nr], 0, sizeof(*scopes));
	return &scopes[nr];
}

void scan_drop_last(struct exit_scan *scan)
{
	/* The place stays, which scan_add() counts on. */
	scope_free(&scan->scopes[--scan->nr_scopes]);
}

void scan_sort(struct exit_scan *scan)
{
	if (scan->nr_scopes)
		qsort(scan->scopes, scan->nr_scopes, sizeof(*scan->scopes),
		      scope_cmp);
}

struct exit_scope *scan_find(const struct exit_scan *scan,
			     const struct exit_scope *key)
{
	if (!scan->nr_scopes)
		return NULL;
	return bsearch(key, scan->scopes, scan->nr_scopes,
		       sizeof(*scan->scopes), scope_cmp);
}

void scan_subtract(struct exit_scan *scan, const struct exit_scan *before)
{
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++) {
		struct exit_scope *scope = &scan->scopes[i];
		const struct exit_scope *old = scan_find(before, scope);

		scope->is_new = !old || !scope_is_same(old, scope) ||
				!snapshot_subtract(&scope->snap, &old->snap);
		if (!scope->is_new)
			latency_subtract(&scope->latency, &old->latency);
	}
	scan->interval = scan->monotonic - before->monotonic;
}

uint64_t scan_scope_interval(const struct exit_scan *scan,
			     const struct exit_scope *scope)
{
	return scope->interval ? scope->interval : scan->interval;
}

bool scan_copy(struct exit_scan *copy, const struct exit_scan *scan)
{
	struct exit_scope *scope;
	size_t i;

	*copy = (struct exit_scan){
		.monotonic = scan->monotonic,
		.realtime = scan->realtime,
		.interval = scan->interval,
	};
	strcpy(copy->source, scan->source);

	for (i = 0; i < scan->nr_scopes; i++) {
		scope = scan_add(copy);
		if (scope && scope_copy(scope, &scan->scopes[i]))
			continue;
		scan_free(copy);
		return false;
	}
	return true;
}

void scan_free(struct exit_scan *scan)
{
	while (scan->nr_scopes)
		scan_drop_last(scan);
	free(scan->scopes);
	*scan = (struct exit_scan){};
}
