// SPDX-License-Identifier: GPL-2.0
/* What exits.bpf.c has counted, as scans. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/message.h"
#include "model/reasons.h"
#include "source/bpf.h"
#include "source/bpf_load.h"
#include "source/vmname.h"

/* How many instructions an exit costs more, see Documentation/performance.md. */
static const char *const prices[NR_LEVELS] = {
	[LEVEL_COUNTS] = "145",
	[LEVEL_TIMES] = "380",
	[LEVEL_HISTOGRAMS] = "430",
};

/* How long KVM may count exits of which no event tells. */
#define MAX_SILENCE 1000000000

/* Two readings of it are not one if a vCPU ended meanwhile. */
#define MAX_TRIES 100

struct bpf_data {
	struct bpf_counters counters;
	const struct reason_table *reasons;
};

static unsigned int probe(const struct source_setup *setup, char *why,
			  size_t size)
{
	const bool pinned = bpf_is_pinned();
	const char *trouble = pinned ? NULL : bpf_trouble(setup);
	const bool histograms = pinned ? bpf_has_pinned_histograms() :
					 setup->level == LEVEL_HISTOGRAMS;

	if (trouble) {
		snprintf(why, size, "%s", trouble);
		return 0;
	}
	return bpf_source.abilities & ~(pinned ? 0 : SOURCE_COUNTED) &
	       ~(histograms ? 0 : SOURCE_LATENCY);
}

static void close_bpf(struct source *source)
{
	struct bpf_data *data = source->data;

	if (!data)
		return;
	bpf_close(&data->counters);
	free(data);
	source->data = NULL;
}

static int open_bpf(struct source *source)
{
	struct bpf_data *data = calloc(1, sizeof(*data));
	const bool pinned = bpf_is_pinned();
	int status;

	if (!data)
		return out_of_memory();
	source->data = data;
	status = pinned ? bpf_open_pinned(&data->counters, &source->setup) :
			  bpf_load(&data->counters, &source->setup);
	if (status)
		return status;
	data->reasons = reasons_of(data->counters.isa);
	source->since = data->counters.bss->since;
	if (!pinned)
		note("KVM has no exit accounting: counting by eBPF from now on, for some %s instructions an exit",
		     prices[data->counters.level]);
	return STATUS_OK;
}

/* Exit numbers are made small in exits.bpf.c. */
static uint32_t reason_of(unsigned int index)
{
	if (index < BPF_LOW)
		return index;
	if (index < BPF_LOW + BPF_HIGH)
		return BPF_HIGH_BASE + index - BPF_LOW;
	return ~(index - BPF_LOW - BPF_HIGH);
}

static const enum exit_counter counters[BPF_COUNTS] = {
	[BPF_EXITS] = COUNT_EXITS,
	[BPF_HANDLE] = COUNT_HANDLE_CYCLES,
	[BPF_USER] = COUNT_USER_CYCLES,
	[BPF_WAIT] = COUNT_WAIT_CYCLES,
	[BPF_PREEMPTED] = COUNT_PREEMPTED_CYCLES,
	[BPF_L2_EXITS] = COUNT_L2_EXITS,
	[BPF_L2_HANDLE] = COUNT_L2_HANDLE_CYCLES,
};

static struct exit_row *row_of_slot(const struct bpf_data *data,
				    struct exit_snapshot *snap, size_t slot)
{
	const struct exits__bss *bss = data->counters.bss;
	const uint32_t reason = slot ? reason_of(bss->indices[slot]) : 0;
	struct exit_row *row = snapshot_find_row(snap, !slot, reason);

	if (row)
		return row;
	row = snapshot_add_row(snap);
	if (!row)
		return NULL;
	row->other = !slot;
	row->reason = reason;
	if (slot)
		reason_label(row->name, data->reasons, reason);
	else
		strcpy(row->name, "OTHER");
	snapshot_finish(snap);
	return snapshot_find_row(snap, !slot, reason);
}

/* Add a vCPU's counters to those of a scope.  False if memory runs out. */
static bool add_row(const struct bpf_data *data, struct exit_snapshot *snap,
		    const struct bpf_row *from)
{
	uint64_t seen = 0, all = from->last_exits - from->first_exits;
	struct exit_row *row;
	size_t slot, c;

	snap->guest_cycles += from->guest;
	for (slot = 0; slot < BPF_SLOTS; slot++) {
		const unsigned long long *counts = from->counts[slot];

		if (!counts[BPF_EXITS])
			continue;
		seen += counts[BPF_EXITS];
		row = row_of_slot(data, snap, slot);
		if (!row)
			return false;
		for (c = 0; c < BPF_COUNTS; c++)
			row->counts[counters[c]] += counts[c];
	}
	/* What KVM has counted and no tracepoint told. */
	if (all > seen) {
		row = row_of_slot(data, snap, 0);
		if (!row)
			return false;
		row->counts[COUNT_EXITS] += all - seen;
	}
	snapshot_finish(snap);
	return true;
}

static void init_snapshot(const struct bpf_data *data,
			  struct exit_snapshot *snap)
{
	const struct exits__bss *bss = data->counters.bss;
	const bool times = data->counters.level >= LEVEL_TIMES;
	size_t c;

	strcpy(snap->isa, data->reasons->isa);
	snap->clock.ns = true;
	snap->enabled = true;
	snap->has_guest_cycles = times;
	for (c = 0; c < NR_COUNTS; c++)
		snap->has[c] = times || c == COUNT_EXITS || c == COUNT_L2_EXITS;
	/* What may be attached and never run does not make its column 0. */
	if (!bss->has_phases || (bss->nr_serials && !bss->nr_puts))
		snap->has[COUNT_USER_CYCLES] =
			snap->has[COUNT_PREEMPTED_CYCLES] = false;
}

/* Add up the histograms of rows. */
static void add_histograms(struct bpf_histograms *sum,
			   const struct bpf_histograms *from)
{
	size_t s, p, b;

	for (s = 0; s < BPF_SLOTS; s++) {
		for (p = 0; p < BPF_PARTS; p++) {
			uint64_t max = from->slots[s].max[p];

			if (max > sum->slots[s].max[p])
				sum->slots[s].max[p] = max;
			for (b = 0; b < BPF_BUCKETS; b++)
				sum->slots[s].exits[p][b] +=
					from->slots[s].exits[p][b];
		}
	}
}

/* Of one reason: all exits of which a time is @time.  False without memory. */
static bool put_histogram(const struct exit_row *of,
			  const struct bpf_histogram *from,
			  enum latency_time time, struct exit_latency *latency)
{
	const enum bpf_part part = time == LATENCY_HANDLE ? BPF_HANDLE_ONLY :
							    BPF_TOTAL_ONLY;
	const uint64_t max = from->max[BPF_BOTH] > from->max[part] ?
				     from->max[BPF_BOTH] :
				     from->max[part];
	struct latency_row *row;
	size_t b;

	_Static_assert(BPF_BUCKETS == NR_BUCKETS, "as in the model");
	for (b = 0; b < BPF_BUCKETS; b++) {
		const uint64_t exits =
			from->exits[BPF_BOTH][b] + from->exits[part][b];

		if (!exits)
			continue;
		row = latency_add_row(latency);
		if (!row)
			return false;
		*row = (struct latency_row){
			.other = of->other,
			.reason = of->reason,
			.time = time,
			.from = bucket_from(b),
			.below = bucket_below(b),
			.exits = exits,
			.max = max,
		};
		strcpy(row->name, of->name);
	}
	return true;
}

/* The histograms of the vCPUs that a scope has.  False if memory runs out. */
static bool read_histograms(const struct bpf_data *data,
			    struct exit_scope *scope,
			    const struct bpf_row *const *vcpus, size_t nr)
{
	const struct bpf_counters *counters = &data->counters;
	const struct exits__bss *bss = counters->bss;
	struct bpf_histograms *sum;
	size_t i;
	bool done = true;

	if (!counters->histograms)
		return true;
	sum = calloc(1, sizeof(*sum));
	for (i = 0; sum && i < nr; i++)
		add_histograms(
			sum, &counters->histograms[vcpus[i] - counters->rows]);
	for (i = 0; sum && done && i < BPF_SLOTS && i <= bss->nr_slots; i++) {
		const uint32_t reason = i ? reason_of(bss->indices[i]) : 0;
		const struct exit_row *row =
			snapshot_find_row(&scope->snap, !i, reason);

		if (row)
			done = put_histogram(row, &sum->slots[i],
					     LATENCY_HANDLE, &scope->latency) &&
			       put_histogram(row, &sum->slots[i], LATENCY_TOTAL,
					     &scope->latency);
	}
	free(sum);
	latency_finish(&scope->latency);
	return sum && done;
}

static struct exit_scope *add_scope(const struct bpf_data *data,
				    struct exit_scan *scan,
				    const struct exit_scope *who)
{
	struct exit_scope *scope = scan_add(scan);

	if (!scope)
		return NULL;
	*scope = *who;
	init_snapshot(data, &scope->snap);
	return scope;
}

static int read_host(const struct bpf_data *data, struct exit_scan *scan,
		     bool latency)
{
	static const struct exit_scope host = { .kind = SCOPE_HOST };
	const size_t nr_rows = data->counters.nr_rows;
	const struct bpf_row **rows = calloc(nr_rows, sizeof(*rows));
	struct exit_scope *scope = rows ? add_scope(data, scan, &host) : NULL;
	bool done = scope;
	size_t i, nr = 0;

	for (i = 0; done && i < nr_rows; i++) {
		const struct bpf_row *row = &data->counters.rows[i];

		if (i >= BPF_ROW_FIRST && !row->vcpu)
			continue;
		rows[nr++] = row;
		done = add_row(data, &scope->snap, row);
	}
	if (done && latency)
		done = read_histograms(data, scope, rows, nr);
	free(rows);
	return done ? STATUS_OK : out_of_memory();
}

/* By VM, and then in the order in which they came. */
static int compare_rows(const void *a, const void *b)
{
	const struct bpf_row *x = *(const struct bpf_row *const *)a;
	const struct bpf_row *y = *(const struct bpf_row *const *)b;

	if (x->vm != y->vm)
		return x->vm < y->vm ? -1 : 1;
	return (x->serial > y->serial) - (x->serial < y->serial);
}

/*
 * A VM is known by its first vCPU, and by when its process began.  False if that
 * has ended.
 */
static bool identify(struct exit_scope *vm, const struct bpf_row *first,
		     size_t nr_vcpus, const char *procfs)
{
	*vm = (struct exit_scope){ .kind = SCOPE_VM, .nr_vcpus = nr_vcpus };
	memcpy(vm->vm, first->vm_name, sizeof(first->vm_name));
	vm->vm[sizeof(first->vm_name) - 1] = '\0';
	if (!is_vm_id(vm->vm))
		snprintf(vm->vm, sizeof(vm->vm), "%u-0", first->pid);
	vm->id[0] = first->serial;
	return vm_identify(vm, procfs, 0);
}

/* One VM, of which these are the vCPUs. */
static int read_vm(const struct bpf_data *data, struct exit_scan *scan,
		   const struct exit_selection *sel,
		   const struct bpf_row *const *vcpus, size_t nr,
		   struct exit_scope *vm)
{
	const bool details = !sel->details_of ||
			     !strcmp(sel->details_of, vm->vm);
	struct exit_scope *scope;
	size_t i;

	if (selection_has(sel, vm)) {
		scope = add_scope(data, scan, vm);
		for (i = 0; scope && i < nr; i++) {
			if (!add_row(data, &scope->snap, vcpus[i]))
				return out_of_memory();
		}
		if (!scope)
			return out_of_memory();
		if (details && sel->vm_latency &&
		    !read_histograms(data, scope, vcpus, nr))
			return out_of_memory();
	}
	for (i = 0; details && i < nr; i++) {
		struct exit_scope vcpu = *vm;

		vcpu.kind = SCOPE_VCPU;
		vcpu.vcpu = vcpus[i]->vcpu_id;
		vcpu.nr_vcpus = 0;
		if (!selection_has(sel, &vcpu))
			continue;
		scope = add_scope(data, scan, &vcpu);
		if (!scope || !add_row(data, &scope->snap, vcpus[i]))
			return out_of_memory();
		if (sel->vcpu_latency &&
		    !read_histograms(data, scope, &vcpus[i], 1))
			return out_of_memory();
	}
	return STATUS_OK;
}

/*
 * The VMs of @vcpus, each with how many it has.  Those of VMs that are gone are taken
 * out of @vcpus, of which there are *@nr.  False if memory runs out.
 */
static bool identify_vms(struct exit_scan *vms, const struct bpf_row **vcpus,
			 size_t *nr, const char *procfs)
{
	size_t i, end, kept = 0;
	struct exit_scope *vm;

	for (i = 0; i < *nr; i = end) {
		for (end = i + 1; end < *nr && vcpus[end]->vm == vcpus[i]->vm;)
			end++;
		vm = scan_add(vms);
		if (!vm)
			return false;
		if (!identify(vm, vcpus[i], end - i, procfs)) {
			scan_drop_last(vms);
			continue;
		}
		memmove(&vcpus[kept], &vcpus[i], (end - i) * sizeof(*vcpus));
		kept += end - i;
	}
	*nr = kept;
	return true;
}

static int read_vms(const struct source *source, struct exit_scan *scan,
		    const struct exit_selection *sel,
		    const struct bpf_row **vcpus, size_t nr)
{
	struct exit_scan vms = {};
	size_t v, first = 0;
	int status;

	qsort(vcpus, nr, sizeof(*vcpus), compare_rows);
	status = identify_vms(&vms, vcpus, &nr, source->setup.procfs) ?
			 selection_check_vms(sel, &vms) :
			 out_of_memory();
	for (v = 0; !status && v < vms.nr_scopes; v++) {
		struct exit_scope *vm = &vms.scopes[v];

		status = read_vm(source->data, scan, sel, &vcpus[first],
				 vm->nr_vcpus, vm);
		first += vm->nr_vcpus;
	}
	if (!status)
		status = selection_check_read(sel, &vms, scan);
	scan_free(&vms);
	return status;
}

static int read_all_vms(const struct source *source, struct exit_scan *scan,
			const struct exit_selection *sel)
{
	const struct bpf_data *data = source->data;
	const struct bpf_row **vcpus =
		calloc(data->counters.nr_rows, sizeof(*vcpus));
	size_t i, nr = 0;
	int status;

	if (!vcpus)
		return out_of_memory();
	for (i = BPF_ROW_FIRST; i < data->counters.nr_rows; i++) {
		if (data->counters.rows[i].vcpu)
			vcpus[nr++] = &data->counters.rows[i];
	}
	status = read_vms(source, scan, sel, vcpus, nr);
	free(vcpus);
	return status;
}

static int read_once(const struct source *source,
		     const struct exit_selection *sel, struct exit_scan *scan)
{
	int status = STATUS_OK;

	if (sel->host)
		status = read_host(source->data, scan, sel->host_latency);
	if (!status && (sel->vms || sel->vcpus))
		status = read_all_vms(source, scan, sel);
	return status;
}

/* KVM counts exits, but has no event for any: the counters would stay 0. */
static bool is_silent(const struct source *source)
{
	const struct bpf_data *data = source->data;
	const struct exits__bss *bss = data->counters.bss;

	return !bss->nr_serials && !bss->nr_shared &&
	       clock_now(CLOCK_REALTIME) > bss->since + MAX_SILENCE &&
	       bpf_kvm_exits(&source->setup) > bss->exits_before;
}

/* A vCPU that ends is added to the host's totals and taken from its row. */
static int read_bpf(struct source *source, const struct exit_selection *sel,
		    struct exit_scan *scan)
{
	struct bpf_data *data = source->data;
	unsigned long long folds;
	int status, tries = 0;

	if (!bpf_refresh(&data->counters, &folds))
		return fail(STATUS_ERROR,
			    "the counters of eBPF cannot be read: %s",
			    strerror(errno));
	if (is_silent(source))
		return fail(
			STATUS_UNSUPPORTED,
			"exits cannot be counted by eBPF: this KVM has no kvm_exit events, as PVM; install KVM's modules with exit accounting instead");
	for (;;) {
		status = read_once(source, sel, scan);
		if (status || bpf_is_whole(&data->counters, folds) ||
		    ++tries > MAX_TRIES)
			return status;
		while (scan->nr_scopes)
			scan_drop_last(scan);
		/* Who does it may want this CPU. */
		usleep(1000);
		bpf_refresh(&data->counters, &folds);
	}
}

static int attach(const struct source_setup *setup)
{
	struct bpf_counters counters = {};
	char since[TIME_SIZE];
	int status;

	if (bpf_is_pinned()) {
		status = bpf_open_pinned(&counters, setup);
		if (!status) {
			time_format(counters.bss->since, since);
			note("exits are already being counted, since %s",
			     since);
		}
	} else {
		status = bpf_load(&counters, setup);
		if (!status)
			status = bpf_pin(&counters);
	}
	bpf_close(&counters);
	return status;
}

const struct source_ops bpf_source = {
	.name = "bpf",
	.abilities = SOURCE_HOST | SOURCE_VMS | SOURCE_VCPUS | SOURCE_LATENCY |
		     SOURCE_COUNTED,
	.probe = probe,
	.open = open_bpf,
	.close = close_bpf,
	.read = read_bpf,
	.attach = attach,
	.detach = bpf_unpin,
};
