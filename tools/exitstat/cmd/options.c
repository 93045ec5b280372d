// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/message.h"
#include "base/parse.h"
#include "base/text.h"
#include "base/version.h"
#include "cmd/options.h"
#include "model/reasons.h"

/* Longer intervals than a year are typing errors. */
#define MAX_INTERVAL (366 * 24 * 3600.0)
#define MIN_INTERVAL 0.001

enum {
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_INTERVAL = 'd',
	OPT_COUNT = 'n',
	OPT_COLUMNS = 0x100,
	OPT_OUTPUT,
	OPT_VM,
	OPT_VCPU,
	OPT_REASON,
	OPT_HOST,
	OPT_JSON,
	OPT_CSV,
	OPT_OPENMETRICS,
	OPT_UNITS,
	OPT_SORT,
	OPT_TEXTFILE,
	OPT_HTML,
	OPT_ISA,
	OPT_LATENCY,
	OPT_TOP,
	OPT_SOURCE,
	OPT_LEVEL,
	OPT_MEASURE,
	OPT_LONG,
	OPT_RIP,
	OPT_DEBUGFS,
	OPT_SYSFS,
	OPT_PROCFS,
};

/* Every option there is, in the order of the help texts. */
static const struct option_info {
	int id;
	/* an option's letter, or 0 */
	char letter;
	const char *name;
	const char *argument;
	const char *help;
	unsigned int set;
} infos[] = {
	{ OPT_VM, 0, "vm", "ID",
	  "a VM: its name, <pid>-<fd>, <pid>, or a pattern", TAKES_VM },
	{ OPT_VCPU, 0, "vcpu", "N", "one vCPU of each VM, or 'all'",
	  TAKES_VCPUS },
	{ OPT_HOST, 0, "host", NULL, "the host, too", TAKES_HOST },
	{ OPT_REASON, 0, "reason", "R",
	  "exits with this number, name or pattern only", TAKES_REASON },
	{ OPT_INTERVAL, 'd', "interval", "SEC",
	  "what happens in each so many seconds", TAKES_INTERVAL },
	{ OPT_COUNT, 'n', "count", "N", "how often, then end", TAKES_COUNT },
	{ OPT_OUTPUT, 'o', "output", "FILE",
	  "where to; what is there must be a recording", TAKES_OUTPUT },
	{ OPT_LATENCY, 0, "latency", NULL, "histograms of VMs, too",
	  TAKES_LATENCY },
	{ OPT_HTML, 0, "html", "OUT", "write a page with charts to OUT",
	  TAKES_HTML },
	{ OPT_TOP, 0, "top", NULL, "watch it, full screen", TAKES_TOP },
	{ OPT_ISA, 0, "isa", "ISA", "", TAKES_ISA },
	{ OPT_MEASURE, 0, "measure", NULL,
	  "what an exit takes here, and to count it; needs root",
	  TAKES_MEASURE },
	{ OPT_LONG, 'l', "long", NULL, "what each one means, too", TAKES_LONG },
	{ OPT_RIP, 0, "rip", NULL,
	  "the guest's instructions, by their addresses", TAKES_RIP },
	{ OPT_JSON, 0, "json", NULL, "print JSON", TAKES_FORMAT | TAKES_JSON },
	{ OPT_CSV, 0, "csv", NULL, "print comma-separated values",
	  TAKES_FORMAT | TAKES_CSV },
	{ OPT_OPENMETRICS, 0, "openmetrics", NULL, "print OpenMetrics text",
	  TAKES_FORMAT },
	{ OPT_TEXTFILE, 0, "textfile", "FILE",
	  "write Prometheus text to FILE, whole or not at all",
	  TAKES_TEXTFILE },
	{ OPT_UNITS, 0, "units", "UNIT", "of times: cycles, ns or auto",
	  TAKES_UNITS },
	{ OPT_COLUMNS, 'o', "columns", "[+]LIST", "columns to print, or to add",
	  TAKES_TABLE },
	{ OPT_SORT, 0, "sort", "[-]COLUMN", "what to sort by, - turns it round",
	  TAKES_TABLE },
	{ OPT_SOURCE, 0, "source", "NAME",
	  "what to read the counters from: ", TAKES_SOURCE },
	{ OPT_LEVEL, 0, "level", "LEVEL",
	  "how much eBPF counts: ", TAKES_LEVEL },
	{ OPT_DEBUGFS, 0, "debugfs", "DIR",
	  "where debugfs is mounted (/sys/kernel/debug)", TAKES_DEBUGFS },
	{ OPT_SYSFS, 0, "sysfs", "DIR", "where sysfs is mounted (/sys)",
	  TAKES_SYSFS },
	{ OPT_PROCFS, 0, "procfs", "DIR", "where procfs is mounted (/proc)",
	  TAKES_DEBUGFS },
	{ OPT_HELP, 'h', "help", NULL, "print this help and exit", ~0u },
	{ OPT_VERSION, 'V', "version", NULL, "print the version and exit",
	  ~0u },
};

static const char *command_name(const struct command_usage *usage)
{
	return usage->name;
}

static int usage_error(const struct command_usage *usage, const char *what,
		       const char *word)
{
	return fail(STATUS_USAGE, "%s '%s', see 'exitstat %s --help'", what,
		    word, command_name(usage));
}

/* Those whose exits have names: "vmx or svm". */
static void isa_names(char *names, size_t size)
{
	size_t i;

	*names = '\0';
	for (i = 0; reason_tables[i]; i++)
		text_append(names, size, " or ", reason_tables[i]->isa);
}

/* "counts, times, histograms" */
static void list_levels(char *names, size_t size)
{
	size_t i;

	*names = '\0';
	for (i = LEVEL_ANY + 1; i < NR_LEVELS; i++)
		text_append(names, size, ", ", level_names[i]);
}

/* What an option's argument may be, behind the help text. */
static void list_values(const struct command_usage *usage, int id, char *values,
			size_t size)
{
	*values = '\0';
	if (id == OPT_ISA)
		isa_names(values, size);
	else if (id == OPT_SOURCE)
		source_names(usage->abilities, values, size);
	else if (id == OPT_LEVEL)
		list_levels(values, size);
}

static int print_help(const struct command_usage *usage)
{
	char left[64], values[128];
	size_t i;

	printf("Usage: exitstat %s [OPTION]...%s%s\n\n%s\n\nOptions:\n",
	       usage->name, *usage->operands ? " " : "", usage->operands,
	       usage->text);
	for (i = 0; i < ARRAY_SIZE(infos); i++) {
		const struct option_info *info = &infos[i];
		char letter[4] = { '-', info->letter, ',' };

		if (!(info->set & usage->options) && info->set != ~0u)
			continue;
		snprintf(left, sizeof(left), "%3s --%s%s%s",
			 info->letter ? letter : "", info->name,
			 info->argument ? " " : "",
			 info->argument ? info->argument : "");
		list_values(usage, info->id, values, sizeof(values));
		printf("  %-25s %s%s\n", left, info->help, values);
	}
	if (usage->table)
		table_print_columns(usage->table, stdout);
	printf("\nSee exitstat-%s(8) and exitstat(8).\n", usage->name);
	return STATUS_OK;
}

static int print_version(void)
{
	puts("exitstat " EXITSTAT_VERSION);
	return STATUS_OK;
}

static int parse_seconds(const struct command_usage *usage, const char *text,
			 uint64_t *ns)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (end == text || *end || errno || !isfinite(value) ||
	    value < MIN_INTERVAL || value > MAX_INTERVAL)
		return usage_error(usage, "no valid number of seconds", text);
	*ns = value * 1e9 + 0.5;
	return STATUS_OK;
}

static int add_reason(struct arguments *args, char *text)
{
	char **reasons = reallocarray(args->reasons, args->nr_reasons + 1,
				      sizeof(*reasons));

	if (!reasons)
		return out_of_memory();
	args->reasons = reasons;
	reasons[args->nr_reasons++] = text;
	return STATUS_OK;
}

static int add_vm(struct arguments *args, const char *text)
{
	struct vm_pattern *vms =
		reallocarray(args->vms, args->nr_vms + 1, sizeof(*vms));

	if (!vms)
		return out_of_memory();
	args->vms = vms;
	vms[args->nr_vms++] = (struct vm_pattern){ .text = text };
	return STATUS_OK;
}

static int set_format(const struct command_usage *usage, struct arguments *args,
		      enum format_kind kind, const char *name)
{
	if (args->format.kind != FORMAT_TABLE && args->format.kind != kind)
		return usage_error(usage, "more than one output format:", name);
	args->format.kind = kind;
	return STATUS_OK;
}

static int parse_vcpu_number(const struct command_usage *usage,
			     struct arguments *args, const char *text)
{
	uint64_t nr;

	args->vcpus = args->format.vcpus = true;
	args->vcpu = -1;
	if (!strcmp(text, "all"))
		return STATUS_OK;
	if (!parse_u64(text, UINT32_MAX, &nr))
		return usage_error(usage,
				   "neither a vCPU's number nor all:", text);
	args->vcpu = nr;
	return STATUS_OK;
}

static int parse_units(const struct command_usage *usage,
		       struct arguments *args, const char *text)
{
	args->format.units_given = true;
	args->format.scaled = !strcmp(text, "auto");
	args->format.ns = args->format.scaled || !strcmp(text, "ns");
	if (args->format.ns || !strcmp(text, "cycles"))
		return STATUS_OK;
	return usage_error(usage, "units are cycles, ns or auto, not", text);
}

static int parse_isa(const struct command_usage *usage, struct arguments *args,
		     const char *text)
{
	char names[64], what[96];

	args->isa = text;
	if (reasons_of(text))
		return STATUS_OK;
	isa_names(names, sizeof(names));
	snprintf(what, sizeof(what), "an ISA is %s, not", names);
	return usage_error(usage, what, text);
}

static int parse_level(const struct command_usage *usage,
		       struct arguments *args, const char *text)
{
	char names[64], what[96];
	size_t i;

	for (i = LEVEL_ANY + 1; i < NR_LEVELS; i++) {
		if (!strcmp(text, level_names[i])) {
			args->setup.level = i;
			return STATUS_OK;
		}
	}
	list_levels(names, sizeof(names));
	snprintf(what, sizeof(what), "a level is one of %s, not", names);
	return usage_error(usage, what, text);
}

static int set_option(const struct command_usage *usage, struct arguments *args,
		      int id, char *value)
{
	switch (id) {
	case OPT_VM:
		if (!*value)
			return usage_error(usage, "not a VM:", value);
		return add_vm(args, value);
	case OPT_VCPU:
		return parse_vcpu_number(usage, args, value);
	case OPT_HOST:
		args->host = true;
		break;
	case OPT_REASON:
		if (!*value)
			return usage_error(usage, "not a reason:", value);
		return add_reason(args, value);
	case OPT_INTERVAL:
		return parse_seconds(usage, value, &args->interval);
	case OPT_COUNT:
		if (!parse_u64(value, UINT64_MAX, &args->count) || !args->count)
			return usage_error(usage, "no valid count", value);
		break;
	case OPT_OUTPUT:
		args->output = value;
		break;
	case OPT_LATENCY:
		args->latency = true;
		break;
	case OPT_HTML:
		args->html = value;
		break;
	case OPT_TOP:
		args->top = true;
		break;
	case OPT_MEASURE:
		args->measure = true;
		break;
	case OPT_RIP:
		args->rip = true;
		break;
	case OPT_LONG:
		args->all_columns = true;
		break;
	case OPT_ISA:
		return parse_isa(usage, args, value);
	case OPT_JSON:
		return set_format(usage, args, FORMAT_JSON, "--json");
	case OPT_CSV:
		return set_format(usage, args, FORMAT_CSV, "--csv");
	case OPT_OPENMETRICS:
		return set_format(usage, args, FORMAT_OPENMETRICS,
				  "--openmetrics");
	case OPT_TEXTFILE:
		args->textfile = value;
		break;
	case OPT_UNITS:
		return parse_units(usage, args, value);
	case OPT_COLUMNS:
		args->format.columns = value;
		break;
	case OPT_SORT:
		args->format.sort = value;
		break;
	case OPT_SOURCE:
		args->source = value;
		break;
	case OPT_LEVEL:
		return parse_level(usage, args, value);
	case OPT_DEBUGFS:
		args->setup.debugfs = value;
		break;
	case OPT_SYSFS:
		args->setup.sysfs = value;
		break;
	case OPT_PROCFS:
		args->setup.procfs = value;
		break;
	}
	return STATUS_OK;
}

/* What getopt_long() needs to know of the options that the command takes. */
struct getopt_tables {
	struct option longs[ARRAY_SIZE(infos) + 1];
	char shorts[2 * ARRAY_SIZE(infos) + 4];
};

static void fill_tables(struct getopt_tables *tables, unsigned int options)
{
	char *letters = tables->shorts;
	size_t i, nr = 0;

	/* Stop at the first operand, and tell a missing argument apart. */
	*letters++ = '+';
	*letters++ = ':';
	for (i = 0; i < ARRAY_SIZE(infos); i++) {
		const struct option_info *info = &infos[i];

		if (!(info->set & options) && info->set != ~0u)
			continue;
		tables->longs[nr++] = (struct option){
			.name = info->name,
			.has_arg = info->argument ? required_argument :
						    no_argument,
			.val = info->id,
		};
		if (info->letter) {
			*letters++ = info->letter;
			if (info->argument)
				*letters++ = ':';
		}
	}
	tables->longs[nr] = (struct option){};
	*letters = '\0';
}

/* The option that a letter, or a long option's value, stands for. */
static int option_id(int c, unsigned int options)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(infos); i++) {
		if (infos[i].letter == c && (infos[i].set & options))
			return infos[i].id;
	}
	return c;
}

static int check_operands(int argc, char **argv,
			  const struct command_usage *usage,
			  struct arguments *args)
{
	bool dashes = optind > 1 && !strcmp(argv[optind - 1], "--");

	if (usage->options & TAKES_COMMAND && dashes) {
		if (optind == argc)
			return usage_error(usage, "no command behind", "--");
		args->command = argv + optind;
		return STATUS_OK;
	}

	args->files = argv + optind;
	args->nr_files = argc - optind;
	if (args->nr_files > usage->nr_files)
		return usage_error(usage, "unexpected argument",
				   args->files[usage->nr_files]);
	if (args->nr_files < usage->nr_files)
		return fail(STATUS_USAGE,
			    "%s is missing, see 'exitstat %s --help'",
			    usage->nr_files > 1		     ? "a file" :
			    !strcmp(usage->operands, "FILE") ? "the file" :
							       usage->operands,
			    usage->name);
	return STATUS_OK;
}

static int check_combination(const struct command_usage *usage,
			     const struct arguments *args)
{
	if (args->format.columns && args->format.kind != FORMAT_TABLE &&
	    args->format.kind != FORMAT_CSV)
		return usage_error(usage, "only tables and CSV have columns:",
				   "--columns");
	if (args->textfile && args->format.kind != FORMAT_TABLE)
		return usage_error(usage, "--textfile is a format itself:",
				   args->textfile);
	if (args->textfile && (args->interval || args->command))
		return usage_error(usage,
				   "only counters since they began go to",
				   "--textfile");
	if (args->command && args->interval)
		return usage_error(usage, "the command decides how long, not",
				   "-d");
	if (args->count && !args->interval && usage->options & TAKES_COMMAND)
		return usage_error(usage, "only with -d there is a", "-n");
	if (strlen(args->setup.debugfs) > MOUNT_MAX ||
	    strlen(args->setup.sysfs) > MOUNT_MAX ||
	    strlen(args->setup.procfs) > MOUNT_MAX)
		return fail(STATUS_USAGE,
			    "the path to debugfs, sysfs or procfs is too long");
	return STATUS_OK;
}

/* Files may stand before options: put the next one behind all that is there. */
static void put_last(int argc, char **argv)
{
	char *file = argv[optind];

	memmove(&argv[optind], &argv[optind + 1],
		(argc - optind - 1) * sizeof(*argv));
	argv[argc - 1] = file;
}

bool parse_options(int argc, char **argv, const struct command_usage *usage,
		   struct arguments *args, int *status)
{
	struct getopt_tables tables;
	bool all_files = false;
	int c, end = argc;

	*args = (struct arguments){
		.setup = {
			.debugfs = "/sys/kernel/debug",
			.sysfs = "/sys",
			.procfs = "/proc",
		},
		.vcpu = -1,
	};
	fill_tables(&tables, usage->options);
	optind = 1;
	opterr = 0;

	for (;;) {
		/* With '+' argv[optind] is what getopt_long() is to read. */
		const char *arg = optind < end ? argv[optind] : "";

		c = getopt_long(end, argv, tables.shorts, tables.longs, NULL);
		if (c == -1 && usage->nr_files && optind < end) {
			if (!strcmp(argv[optind - 1], "--"))
				all_files = true;
			put_last(argc, argv);
			end--;
			if (!all_files)
				continue;
			while (optind < end--)
				put_last(argc, argv);
		}
		if (c == -1)
			break;

		if (c == ':')
			*status = usage_error(usage,
					      "an argument is missing:", arg);
		else if (c == '?')
			*status = usage_error(usage, "invalid option", arg);
		else if (c == OPT_HELP)
			*status = print_help(usage);
		else if (c == OPT_VERSION)
			*status = print_version();
		else
			*status = set_option(usage, args,
					     option_id(c, usage->options),
					     optarg);
		if (*status || c == OPT_HELP || c == OPT_VERSION)
			return false;
	}

	*status = check_operands(argc, argv, usage, args);
	if (!*status)
		*status = check_combination(usage, args);
	if (!*status && usage->table)
		*status = table_check(usage->table, args->format.columns,
				      args->format.sort, usage->name);
	return !*status;
}

void arguments_free(struct arguments *args)
{
	free(args->vms);
	free(args->reasons);
}

void set_selection(const struct arguments *args, struct exit_selection *sel)
{
	bool vms = args->nr_vms || args->vcpus;

	*sel = (struct exit_selection){
		.host = args->host || !vms,
		.vms = args->nr_vms && !args->vcpus,
		.vcpus = args->vcpus,
		.vm_patterns = args->vms,
		.nr_vm_patterns = args->nr_vms,
		.reason_patterns = args->reasons,
		.nr_reason_patterns = args->nr_reasons,
		.vcpu = args->vcpu,
	};
}
