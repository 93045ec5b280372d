// SPDX-License-Identifier: GPL-2.0
/* A command line: its words stand in a line each. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/message.h"
#include "cmd/options.h"
#include "common.h"
#include "view/lines.h"

#define MAX_ARGS 64

static const struct command_usage usages[] = {
	{
		.name = "show",
		.operands = "[-- COMMAND...]",
		.text = "reasons",
		.options = ~TAKES_TOP,
		.table = &reason_table_columns,
	},
	{
		.name = "list",
		.operands = "FILE FILE",
		.text = "VMs",
		.options = ~TAKES_COMMAND,
		.nr_files = 2,
		.table = &vm_table_columns,
	},
	{ .name = "bare", .operands = "", .text = "nothing" },
};

static void check_arguments(const struct arguments *args,
			    const struct command_usage *usage)
{
	static const int none[] = { -1 };
	struct exit_selection sel;
	struct layout layout;
	char heading[CELL_SIZE];
	size_t i;

	check(!args->vcpus || (args->vcpu >= -1 && args->vcpu <= UINT32_MAX));
	check(args->format.kind <= FORMAT_OPENMETRICS);
	for (i = 0; i < args->nr_vms; i++)
		check(*args->vms[i].text);
	for (i = 0; i < args->nr_reasons; i++)
		check(*args->reasons[i]);
	check(args->command ? usage->options & TAKES_COMMAND :
			      args->nr_files == usage->nr_files);
	check(!args->textfile || args->format.kind == FORMAT_TABLE);
	check(strlen(args->setup.debugfs) <= MOUNT_MAX &&
	      strlen(args->setup.sysfs) <= MOUNT_MAX &&
	      strlen(args->setup.procfs) <= MOUNT_MAX);

	set_selection(args, &sel);
	check(sel.host || sel.vms || sel.vcpus);
	if (!usage->table)
		return;
	layout_init(&layout, usage->table, none, args->format.columns,
		    args->format.ns);
	check(layout.nr_columns <= MAX_COLUMNS);
	check(!args->format.columns || layout.nr_columns);
	for (i = 0; i < layout.nr_columns; i++) {
		layout_heading(&layout, i, heading);
		check(*heading && strlen(heading) < sizeof(heading));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *word, *words[MAX_ARGS + 1] = {}, *printed;
	const struct command_usage *usage;
	struct arguments args;
	int nr = 0, status;
	size_t len, printed_len;
	bool ok;

	/* No separator, and no NUL: words end there. */
	text = next_text(&data, &size, &len);
	if (!text)
		return 0;
	usage = &usages[len % ARRAY_SIZE(usages)];
	for (word = text; nr < MAX_ARGS; word += strlen(word) + 1) {
		bool last = !word[strcspn(word, "\n")];

		word[strcspn(word, "\n")] = '\0';
		/* Of its own, so that ASan sees who leaves a word. */
		words[nr] = strdup(word);
		check(words[nr++]);
		if (last)
			break;
	}

	/* Forget the command line before. */
	optind = 0;
	getopt(1, words, "");

	user_words = true;
	nr_messages = 0;
	stdout_begin();
	ok = parse_options(nr, words, usage, &args, &status);
	printed = stdout_end(&printed_len);
	check(nr_messages == (!ok && status));
	check(ok ? !status : !status || status == STATUS_USAGE);
	/* Only --help and --version print. */
	check(!printed_len == (ok || status));
	if (ok)
		check_arguments(&args, usage);
	arguments_free(&args);

	free(printed);
	while (nr)
		free(words[--nr]);
	free(text);
	return 0;
}
