// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>

#include "exitstat.h"
#include "output.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

/* The first one runs if the user names none. */
static const struct command commands[] = {
	{ "host", "the exits that the host's KVM has counted", cmd_host },
	{ "guest", "the exits of the VM that it runs in, through CPUID",
	  cmd_guest },
};

int fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("exitstat: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/*
 * The next option of a command, -1 after the last one, or '?' after a message
 * to the user.
 */
static int next_option(int argc, char **argv, const struct option *options)
{
	/* With '+' argv[optind] is what getopt_long() is about to read. */
	const char *arg = argv[optind];
	int c = getopt_long(argc, argv, "+:hV", options, NULL);

	if (c == ':')
		fail(STATUS_USAGE,
		     "option '%s' needs an argument, see 'exitstat --help'",
		     arg);
	else if (c == '?')
		fail(STATUS_USAGE, "invalid option '%s', see 'exitstat --help'",
		     arg);
	else
		return c;
	return '?';
}

/* Print @text, which ends in a list of options, and what all commands have. */
static int print_usage(const char *text)
{
	puts(text);
	puts("  -h, --help       print this help and exit\n"
	     "  -V, --version    print the version and exit\n"
	     "\n"
	     "See exitstat(8).");
	return STATUS_OK;
}

static int print_version(void)
{
	puts("exitstat " EXITSTAT_VERSION);
	return STATUS_OK;
}

bool parse_options(int argc, char **argv, const struct option *options,
		   const char *usage, struct arguments *args, int *status)
{
	int c;

	*args = (struct arguments){
		.format = output_formats[OUTPUT_TABLE],
		.debugfs = "/sys/kernel/debug",
		.sysfs = "/sys",
	};

	while ((c = next_option(argc, argv, options)) != -1) {
		switch (c) {
		case OPT_VM:
			args->vm = optarg;
			break;
		case OPT_DEBUGFS:
			args->debugfs = optarg;
			break;
		case OPT_SYSFS:
			args->sysfs = optarg;
			break;
		case OPT_FORMAT + OUTPUT_JSON:
			args->format = output_formats[c - OPT_FORMAT];
			break;
		case OPT_HELP:
			*status = print_usage(usage);
			return false;
		case OPT_VERSION:
			*status = print_version();
			return false;
		default:
			*status = STATUS_USAGE;
			return false;
		}
	}
	if (optind < argc) {
		*status =
			fail(STATUS_USAGE,
			     "unexpected argument '%s', see 'exitstat --help'",
			     argv[optind]);
		return false;
	}

	if (strlen(args->debugfs) > MOUNT_MAX ||
	    strlen(args->sysfs) > MOUNT_MAX) {
		*status = fail(STATUS_USAGE,
			       "the path to debugfs or sysfs is too long");
		return false;
	}
	return true;
}

static int print_help(void)
{
	size_t i;

	puts("Usage: exitstat [COMMAND] [OPTION]...\n"
	     "\n"
	     "Show why VMs exit to KVM, how often, and what that costs.\n"
	     "\n"
	     "Commands:");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-16s %s%s\n", commands[i].name, commands[i].help,
		       i ? "" : " (default)");
	puts("\n'exitstat COMMAND --help' prints the options of a command.");
	return print_usage("\nOptions:");
}

static int run(int argc, char **argv)
{
	size_t i;

	if (argc < 2)
		return commands[0].run(argc, argv);

	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		return print_help();

	if (*argv[1] == '-')
		return commands[0].run(argc, argv);

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	return fail(STATUS_USAGE, "unknown command '%s', see 'exitstat --help'",
		    argv[1]);
}

int main(int argc, char **argv)
{
	int status;

	/* Numbers are the same everywhere, so no LC_NUMERIC. */
	setlocale(LC_CTYPE, "");

	status = run(argc, argv);
	/* What was not written must not pass for a whole answer. */
	if (status == STATUS_OK && (ferror(stdout) || fclose(stdout)))
		status = fail(STATUS_ERROR, "cannot write to stdout: %s",
			      strerror(errno));
	return status;
}
