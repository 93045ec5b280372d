// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/message.h"
#include "base/replace.h"
#include "view/lines.h"
#include "view/output.h"
#include "view/scan_csv.h"
#include "view/scan_json.h"
#include "view/scan_metrics.h"
#include "view/scan_table.h"

/* Put the scopes in the order in which a list shows them. */
static bool sort_scopes(const struct format *format, struct exit_scan *scan)
{
	struct exit_line *lines = scope_lines(scan, format->sort, format->ns);
	struct exit_scope *sorted =
		malloc((scan->nr_scopes + 1) * sizeof(*sorted));
	bool ok = lines && sorted;
	size_t i;

	for (i = 0; ok && i < scan->nr_scopes; i++)
		sorted[i] = *lines[i].scope;
	if (ok)
		memcpy(scan->scopes, sorted, scan->nr_scopes * sizeof(*sorted));
	free(lines);
	free(sorted);
	return ok;
}

static bool can_be_ns(const struct exit_scan *scan)
{
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++) {
		if (!clock_tells(&scan->scopes[i].snap.clock, true))
			return false;
	}
	return true;
}

static int prepare(struct output *output, struct format *format,
		   struct exit_scan *scan)
{
	size_t i;

	/* The user's units, or those of who counts, also if there is no VM now. */
	if (scan->nr_scopes)
		output->ns = scan->scopes[0].snap.clock.ns;
	if (!format->units_given) {
		/* People get what they can read, and programs what is exact. */
		format->scaled = format->kind == FORMAT_TABLE &&
				 !output->textfile && isatty(STDOUT_FILENO) &&
				 can_be_ns(scan);
		format->ns = output->ns || format->scaled;
	}
	for (i = 0; i < scan->nr_scopes; i++) {
		if (!clock_tells(&scan->scopes[i].snap.clock, format->ns))
			return fail(
				STATUS_ERROR,
				"the TSC's frequency is not known here: use --units %s",
				format->ns ? "cycles" : "ns");
	}

	if (format->list && format->sort && scan->nr_scopes &&
	    !sort_scopes(format, scan))
		return out_of_memory();
	return STATUS_OK;
}

/* False if memory runs out. */
static bool print_scan(FILE *out, struct output *output,
		       const struct format *format,
		       const struct exit_scan *scan)
{
	switch (format->kind) {
	case FORMAT_JSON:
		return print_scan_json(out, format, scan);
	case FORMAT_CSV:
		return print_scan_csv(out, format, scan, &output->begun);
	case FORMAT_OPENMETRICS:
		print_scan_metrics(out, format, scan, false);
		return true;
	case FORMAT_TABLE:
		break;
	}
	return print_scan_table(out, format, scan, &output->begun);
}

static int write_file(const struct output *output, const struct format *format,
		      const struct exit_scan *scan)
{
	static const char *const begins[] = { "# HELP exitstat_",
					      "# TYPE exitstat_", NULL };
	static const struct replaced_kind metrics = {
		"metrics of exitstat",
		begins,
	};
	struct replacement file;
	int status = replace_open(&file, output->textfile, &metrics);

	if (status)
		return status;
	print_scan_metrics(file.stream, format, scan, true);
	return replace_commit(&file);
}

int output_scan(struct output *output, struct exit_scan *scan)
{
	struct format format = *output->format;
	int status = prepare(output, &format, scan);

	if (status)
		return status;
	if (output->textfile)
		return write_file(output, &format, scan);
	return print_scan(stdout, output, &format, scan) ? STATUS_OK :
							   out_of_memory();
}
