// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>

#include "base/array.h"
#include "view/lines.h"
#include "view/metrics.h"
#include "view/scan_metrics.h"

enum metric_value {
	VALUE_COUNT,
	VALUE_GUEST,
	VALUE_LOST,
	VALUE_FAILED_ENTRIES,
	VALUE_CLAMPED,
	VALUE_VCPUS,
};

struct metric {
	/* behind exitstat_host_ */
	const char *name;
	const char *help;
	enum metric_value value;
	enum exit_counter counter;
	/* a sample for each reason */
	bool reasons;
	bool cycles;
	bool gauge;
};

static const struct metric metrics[] = {
	{ "exits", "VM-exits", VALUE_COUNT, COUNT_EXITS, true, false, false },
	{ "handle", "Time that KVM worked for vCPUs", VALUE_COUNT,
	  COUNT_HANDLE_CYCLES, true, true, false },
	{ "user", "Time that the VMM worked for vCPUs", VALUE_COUNT,
	  COUNT_USER_CYCLES, true, true, false },
	{ "wait", "Time that vCPUs were blocked", VALUE_COUNT,
	  COUNT_WAIT_CYCLES, true, true, false },
	{ "preempted", "Time that vCPUs had to wait for a CPU", VALUE_COUNT,
	  COUNT_PREEMPTED_CYCLES, true, true, false },
	{ "l2_exits", "VM-exits of nested guests", VALUE_COUNT, COUNT_L2_EXITS,
	  true, false, false },
	{ "l2_handle", "Time that KVM worked for nested guests", VALUE_COUNT,
	  COUNT_L2_HANDLE_CYCLES, true, true, false },
	{ "guest", "Time that the guest ran", VALUE_GUEST, 0, false, true,
	  false },
	{ "lost", "Time that vCPUs wanted to run and did not", VALUE_LOST, 0,
	  false, true, false },
	{ "failed_entries", "VM-entries that failed", VALUE_FAILED_ENTRIES, 0,
	  false, false, false },
	{ "clamped", "Times taken as 0 because the TSC had gone backwards",
	  VALUE_CLAMPED, 0, false, false, false },
	{ "vcpus", "vCPUs of the VM", VALUE_VCPUS, 0, false, false, true },
};

struct printer {
	FILE *out;
	const struct format *format;
	const struct exit_scan *scan;
	bool prometheus;
};

static void print_labels(FILE *out, const struct exit_line *line, bool reason)
{
	const struct exit_scope *scope = line->scope;
	char number[16];

	metrics_print_label(out, "isa", scope->snap.isa, true);
	if (*scope->vm)
		metrics_print_label(out, "vm", scope->vm, false);
	if (*scope->name)
		metrics_print_label(out, "vm_name", scope->name, false);
	if (scope->kind == SCOPE_VCPU) {
		snprintf(number, sizeof(number), "%" PRIu32, scope->vcpu);
		metrics_print_label(out, "vcpu", number, false);
	}
	if (reason)
		metrics_print_reason(out, &line->row);
}

/* Prometheus wants base units, so it is seconds unless the user asks. */
static bool in_cycles(const struct printer *printer,
		      const struct exit_snapshot *snap)
{
	const struct format *format = printer->format;

	return (format->units_given && !format->ns) ||
	       !clock_tells(&snap->clock, true);
}

/* False if the source does not know it. */
static bool get_value(const struct metric *metric, const struct exit_line *line,
		      uint64_t *value)
{
	const struct exit_snapshot *snap = &line->scope->snap;
	struct exit_time time;

	switch (metric->value) {
	case VALUE_COUNT:
		*value = line->row.counts[metric->counter];
		return snap->has[metric->counter];
	case VALUE_GUEST:
		*value = snap->guest_cycles;
		return snap->has_guest_cycles;
	case VALUE_LOST:
		if (!snapshot_time(snap, &time))
			return false;
		*value = exit_time_lost_cycles(&time);
		return true;
	case VALUE_FAILED_ENTRIES:
		*value = snap->failed_entries;
		return snap->has_faults;
	case VALUE_CLAMPED:
		*value = snap->clamped;
		return snap->has_faults;
	case VALUE_VCPUS:
		*value = line->scope->nr_vcpus;
		return line->scope->nr_vcpus;
	}
	return false;
}

static void set_name(const struct printer *printer, const struct metric *metric,
		     const struct exit_scope *scope, char *name, size_t size)
{
	const char *unit = "";
	/* Not the same name for what is not the same sum. */
	const char *all = metric->reasons && printer->format->list ? "all_" :
								     "";
	const char *kind = printer->scan->interval ? "_delta" : "_total";

	if (metric->gauge)
		kind = "";
	if (metric->cycles)
		unit = in_cycles(printer, &scope->snap) ? "_cycles" :
							  "_seconds";
	snprintf(name, size, "exitstat_%s_%s%s%s%s", scope_name(scope), all,
		 metric->name, unit, kind);
}

static void print_family(const struct printer *printer,
			 const struct metric *metric, const char *name)
{
	const char *type = metric->gauge || printer->scan->interval ? "gauge" :
			   printer->prometheus ? "counter" :
						 NULL;

	metrics_print_family(printer->out, name, type, metric->help);
}

static void print_sample(const struct printer *printer,
			 const struct metric *metric,
			 const struct exit_line *line, const char *name)
{
	const struct exit_snapshot *snap = &line->scope->snap;
	FILE *out = printer->out;
	uint64_t value = 0;

	get_value(metric, line, &value);
	fprintf(out, "%s{", name);
	print_labels(out, line, metric->reasons && !printer->format->list);
	if (metric->cycles && !in_cycles(printer, snap))
		fprintf(out, "} %.9f\n",
			value / (clock_per_ms(&snap->clock) * 1e3));
	else if (metric->cycles)
		fprintf(out, "} %" PRIu64 "\n",
			clock_convert(&snap->clock, value, false));
	else
		fprintf(out, "} %" PRIu64 "\n", value);
}

/* All samples of one metric of one kind of scope, which stand together. */
static void print_metric(const struct printer *printer,
			 const struct metric *metric, enum scope_kind kind)
{
	const struct exit_scan *scan = printer->scan;
	bool by_reason = metric->reasons && !printer->format->list;
	bool begun = false;
	size_t i, r, nr;
	char name[96];

	for (i = 0; i < scan->nr_scopes; i++) {
		const struct exit_scope *scope = &scan->scopes[i];
		const struct exit_snapshot *snap = &scope->snap;
		struct exit_line line;
		uint64_t value;

		if (scope->kind != kind)
			continue;

		nr = by_reason ? snap->nr_rows : 1;
		for (r = 0; r < nr; r++) {
			line_init(&line, scan, scope,
				  by_reason ? &snap->rows[r] : NULL, false);
			if (!get_value(metric, &line, &value))
				break;
			if (!begun) {
				set_name(printer, metric, scope, name,
					 sizeof(name));
				print_family(printer, metric, name);
				begun = true;
			}
			print_sample(printer, metric, &line, name);
		}
	}
}

void print_scan_metrics(FILE *out, const struct format *format,
			const struct exit_scan *scan, bool prometheus)
{
	const struct printer printer = {
		.out = out,
		.format = format,
		.scan = scan,
		.prometheus = prometheus,
	};
	enum scope_kind kind;
	size_t i;

	if (scan->nr_scopes) {
		const struct exit_snapshot *snap = &scan->scopes[0].snap;

		metrics_print_gauge(out, "exitstat_enabled",
				    "1 if exits are being counted",
				    snap->enabled);
		if (snap->clock.tsc_khz || !snap->clock.ns)
			metrics_print_gauge(out, "exitstat_tsc_hertz",
					    "Frequency of the host's TSC",
					    snap->clock.tsc_khz * 1e3);
	}
	if (scan->interval)
		metrics_print_gauge(out, "exitstat_interval_seconds",
				    "How long was counted",
				    scan->interval / 1e9);

	for (kind = SCOPE_HOST; kind <= SCOPE_VCPU; kind++) {
		for (i = 0; i < ARRAY_SIZE(metrics); i++)
			print_metric(&printer, &metrics[i], kind);
	}
	if (!prometheus)
		metrics_print_end(out);
}
