// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>

#include "diff/metrics.h"
#include "view/metrics.h"

static const char *const sides[] = { "a", "b" };

static void print_samples(FILE *out, const char *name, const struct diff *diff,
			  bool handle)
{
	const char *isa = diff->sides[0].scope.snap.isa;
	size_t i, s;

	for (i = 0; i + 1 < diff->nr_lines; i++) {
		const struct diff_line *line = &diff->lines[i];

		for (s = 0; s < 2; s++) {
			fprintf(out, "%s{", name);
			metrics_print_label(out, "recording", sides[s], true);
			metrics_print_label(out, "isa", isa, false);
			metrics_print_reason(out, &line->row);
			if (!handle)
				fprintf(out, "} %" PRIu64 "\n", line->exits[s]);
			else if (diff->ns)
				fprintf(out, "} %.9f\n", line->handle[s] / 1e9);
			else
				fprintf(out, "} %" PRIu64 "\n",
					line->handle[s]);
		}
	}
}

void diff_print_metrics(FILE *out, const struct diff *diff)
{
	const char *handle = diff->ns ? "exitstat_diff_handle_seconds" :
					"exitstat_diff_handle_cycles";
	const char *interval = "exitstat_diff_interval_seconds";
	size_t s;

	if (diff->lines->interval[0]) {
		metrics_print_family(out, interval, "gauge",
				     "How long was counted");
		for (s = 0; s < 2; s++)
			fprintf(out, "%s{recording=\"%s\"} %.6f\n", interval,
				sides[s], diff->sides[s].interval / 1e9);
	}
	metrics_print_family(out, "exitstat_diff_exits", "gauge", "VM-exits");
	print_samples(out, "exitstat_diff_exits", diff, false);
	metrics_print_family(out, handle, "gauge",
			     "Time that KVM worked for vCPUs");
	print_samples(out, handle, diff, true);
	metrics_print_end(out);
}
