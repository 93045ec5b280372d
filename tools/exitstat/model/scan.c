// SPDX-License-Identifier: GPL-2.0
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "model/scan.h"

uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const char *scope_name(const struct exit_scope *scope)
{
	static const char *const names[] = {
		[SCOPE_HOST] = "host",
		[SCOPE_VM] = "vm",
		[SCOPE_VCPU] = "vcpu",
	};

	return names[scope->kind];
}

struct exit_scope *scan_add(struct exit_scan *scan)
{
	/* Doubled whenever it is full, at each power of two. */
	size_t nr = scan->nr_scopes;
	struct exit_scope *scopes = scan->scopes;

	if (!(nr & (nr - 1))) {
		scopes = reallocarray(scopes, nr ? 2 * nr : 1, sizeof(*scopes));
		if (!scopes) {
			out_of_memory();
			return NULL;
		}
		scan->scopes = scopes;
	}
	scan->nr_scopes++;
	memset(&scopes[nr], 0, sizeof(*scopes));
	return &scopes[nr];
}

static void scope_free(struct exit_scope *scope)
{
	snapshot_free(&scope->snap);
	latency_free(&scope->latency);
}

void scan_drop_last(struct exit_scan *scan)
{
	/* The place stays, which scan_add() counts on. */
	scope_free(&scan->scopes[--scan->nr_scopes]);
}

void scan_free(struct exit_scan *scan)
{
	while (scan->nr_scopes)
		scan_drop_last(scan);
	free(scan->scopes);
	*scan = (struct exit_scan){};
}

/* As memdup(), and true of nothing. */
static bool copy_rows(void *copy, const void *rows, size_t nr, size_t size)
{
	void *new = NULL;

	if (nr) {
		new = malloc(nr * size);
		if (new)
			memcpy(new, rows, nr * size);
	}
	*(void **)copy = new;
	return new || !nr;
}

bool scope_copy(struct exit_scope *copy, const struct exit_scope *scope)
{
	bool ok;

	*copy = *scope;
	ok = copy_rows(&copy->snap.rows, scope->snap.rows, scope->snap.nr_rows,
		       sizeof(*scope->snap.rows));
	return copy_rows(&copy->latency.rows, scope->latency.rows,
			 scope->latency.nr_rows,
			 sizeof(*scope->latency.rows)) &&
	       ok;
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

	for (i = 0; i < scan->nr_scopes; i++) {
		scope = scan_add(copy);
		if (scope && scope_copy(scope, &scan->scopes[i]))
			continue;
		if (scope)
			out_of_memory();
		scan_free(copy);
		return false;
	}
	return true;
}

static int read_host(struct exit_source *source,
		     const struct exit_selection *sel, struct exit_scope *scope)
{
	char why[PATH_MAX + 64];

	if (debugfs_is_readable(source->debugfs, why, sizeof(why)) ||
	    !sysfs_is_there(source->sysfs))
		return debugfs_read_host(scope, source->debugfs,
					 sel->host_latency);

	return sysfs_read_host(&scope->snap, source->sysfs, why,
			       &source->told_sysfs);
}

static int read_guest(struct exit_scope *scope)
{
	int status = cpuid_read(&scope->snap);

	scope->kind = !status && !strcmp(scope->snap.scope, "vm") ? SCOPE_VM :
								    SCOPE_HOST;
	return status;
}

int scan_read(struct exit_source *source, const struct exit_selection *sel,
	      struct exit_scan *scan)
{
	struct exit_scope *scope;
	int status = STATUS_OK;

	scan->realtime = clock_ns(CLOCK_REALTIME);
	scan->monotonic = clock_ns(CLOCK_MONOTONIC);

	if (source->guest || sel->host) {
		scope = scan_add(scan);
		if (!scope)
			return STATUS_ERROR;
		status = source->guest ? read_guest(scope) :
					 read_host(source, sel, scope);
	}
	if (!status && !source->guest && (sel->vms || sel->vcpus))
		status = debugfs_read_vms(scan, source, sel);
	/* The directory may have been listed in another order. */
	if (scan->nr_scopes)
		qsort(scan->scopes, scan->nr_scopes, sizeof(*scan->scopes),
		      scope_cmp);
	return status;
}

int scope_cmp(const void *a, const void *b)
{
	const struct exit_scope *x = a, *y = b;
	int order;

	if ((x->kind == SCOPE_HOST) != (y->kind == SCOPE_HOST))
		return x->kind == SCOPE_HOST ? -1 : 1;
	order = strverscmp(x->vm, y->vm);
	if (order)
		return order;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->vcpu > y->vcpu) - (x->vcpu < y->vcpu);
}

bool vm_is_same(const struct exit_scope *a, const struct exit_scope *b)
{
	/* A VM may outlive the process that made it, which is then unknown. */
	return !strcmp(a->vm, b->vm) && a->inode == b->inode &&
	       (a->start_time == b->start_time || !a->start_time ||
		!b->start_time);
}

bool scope_is_same(const struct exit_scope *a, const struct exit_scope *b)
{
	return !scope_cmp(a, b) && vm_is_same(a, b);
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
