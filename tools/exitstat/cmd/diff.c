// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/message.h"
#include "cmd/options.h"
#include "diff/json.h"
#include "diff/metrics.h"
#include "diff/read.h"
#include "diff/table.h"

static const struct command_usage usage = {
	.name = "diff",
	.operands = "A B",
	.text = "Compare two recordings, or two outputs of 'exitstat show --json': of the host,\n"
		"or the sum of the VMs or vCPUs that are chosen.  If it is known of both how long\n"
		"was counted, by what happened in a second.  The greatest change of time comes\n"
		"first.",
	.options = TAKES_VM | TAKES_VCPUS | TAKES_REASON | TAKES_FORMAT |
		   TAKES_UNITS | TAKES_TABLE,
	.nr_files = 2,
	.table = &diff_table,
};

/* False if memory runs out. */
static bool print(const struct diff *diff, const struct format *format)
{
	switch (format->kind) {
	case FORMAT_JSON:
		diff_print_json(stdout, diff);
		return true;
	case FORMAT_CSV:
		diff_print_csv(stdout, diff, format);
		return true;
	case FORMAT_OPENMETRICS:
		diff_print_metrics(stdout, diff);
		return true;
	case FORMAT_TABLE:
		break;
	}
	return diff_print_table(stdout, diff, format);
}

static int compare(const struct arguments *args)
{
	struct diff_side sides[2] = {};
	struct exit_selection sel;
	struct diff diff = {};
	int status = STATUS_OK;
	size_t s;

	if (!strcmp(args->files[0], "-") && !strcmp(args->files[1], "-"))
		return fail(STATUS_USAGE, "only one of A and B can be stdin");
	set_selection(args, &sel);
	for (s = 0; !status && s < ARRAY_SIZE(sides); s++) {
		/* What a name means there may mean nothing here. */
		selection_forget(&sel);
		status = diff_read(&sides[s], args->files[s], &sel);
	}
	if (!status)
		status = diff_compare(&diff, sides, &args->format, &sel);
	if (!status) {
		/* All but the total, which stays the last one. */
		table_sort(&diff_table, args->format.sort, diff.lines,
			   diff.nr_lines - 1, sizeof(*diff.lines));
		if (!print(&diff, &args->format))
			status = out_of_memory();
	}
	diff_compare_free(&diff);
	diff_free(&sides[0]);
	diff_free(&sides[1]);
	return status;
}

int cmd_diff(int argc, char **argv)
{
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status))
		status = compare(&args);
	arguments_free(&args);
	return status;
}
