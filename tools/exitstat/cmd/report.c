// SPDX-License-Identifier: GPL-2.0
#include <limits.h>
#include <stdio.h>

#include "base/message.h"
#include "cmd/options.h"
#include "page/html.h"
#include "recording/sum.h"
#include "view/lines.h"
#include "view/output.h"

static const struct command_usage usage = {
	.name = "report",
	.operands = "FILE",
	.text = "Show the exits in a recording: of the host, or of VMs and vCPUs, in all the time\n"
		"that was recorded.  FILE is what 'exitstat record' wrote, or - for stdin.\n"
		"\n"
		"With --html write a page that shows how they changed with time; it needs nothing\n"
		"but a browser.  It has the host, the VMs, and the vCPUs if they were recorded.",
	.options = TAKES_VM | TAKES_VCPUS | TAKES_HOST | TAKES_REASON |
		   TAKES_FORMAT | TAKES_UNITS | TAKES_TABLE | TAKES_HTML,
	.nr_files = 1,
	.table = &reason_table_columns,
};

static int report(const struct arguments *args)
{
	struct format format = args->format;
	struct output output = { .format = &format };
	struct exit_selection sel;
	struct recording_sum sum;
	char title[PATH_MAX + 16];
	int status;

	set_selection(args, &sel);
	status = recording_sum_read(&sum, args->files[0], &sel, NULL);
	if (!status)
		status = recording_sum_check(&sum, &sel);
	if (!status)
		status = selection_check_reasons(&sel, &sum.scan);
	if (!status)
		status = recording_sum_number(&sum, &sel);
	if (!status) {
		recording_sum_note(&sum);
		snprintf(title, sizeof(title), "recording %s", sum.path);
		format.title = title;
		format.facts = &sum.header.facts;
		selection_filter(&sel, &sum.scan);
		status = output_scan(&output, &sum.scan);
	}
	recording_sum_free(&sum);
	return status;
}

static int make_page(const struct arguments *args)
{
	const struct format *format = &args->format;
	const struct exit_selection sel = {
		.host = true,
		.vms = true,
		.vcpus = true,
		.vm_patterns = args->vms,
		.nr_vm_patterns = args->nr_vms,
		.vcpu = args->vcpu,
	};

	if (format->kind != FORMAT_TABLE || format->columns || format->sort ||
	    args->nr_reasons || format->units_given)
		return fail(
			STATUS_USAGE,
			"a page has all reasons, and no columns, units or other formats: --html goes with --vm and --vcpu alone");
	return report_html(args->files[0], args->html, &sel);
}

int cmd_report(int argc, char **argv)
{
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status))
		status = args.html ? make_page(&args) : report(&args);
	arguments_free(&args);
	return status;
}
