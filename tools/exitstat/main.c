// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/message.h"
#include "cmd/commands.h"

/* The first one runs if the user names none. */
static const struct command {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "show", "exits of the host, of VMs and vCPUs, by reason", cmd_show },
	{ "list", "VMs, with their exits and lost time", cmd_list },
	{ "top", "the same, live", cmd_top },
	{ "record", "write a recording", cmd_record },
	{ "report", "show a recording, or make a page with charts of it",
	  cmd_report },
	{ "diff", "compare two recordings, or two outputs of 'show --json'",
	  cmd_diff },
	{ "guest", "the exits of the VM that it runs in, through CPUID",
	  cmd_guest },
	{ "details", "the exits of one reason: which MSR, port, address",
	  cmd_details },
	{ "explain", "what an exit reason means, and what to do about it",
	  cmd_explain },
	{ "reasons", "every exit number and its name", cmd_reasons },
	{ "attach", "count by eBPF until 'detach', where KVM does not",
	  cmd_attach },
	{ "detach", "end that", cmd_detach },
	{ "doctor", "what can count exits on this host, and what not, and why",
	  cmd_doctor },
};

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
	puts("\n"
	     "Options:\n"
	     "  -h, --help       print this help and exit\n"
	     "  -V, --version    print the version and exit\n"
	     "\n"
	     "'exitstat COMMAND --help' prints the options of a command.  See exitstat(8).");
	return STATUS_OK;
}

static int run(int argc, char **argv)
{
	size_t i;

	/* Debian's package for guests names the program so, exitstat-guest(1). */
	if (!strcmp(program_invocation_short_name, "exitstat-guest"))
		return cmd_guest(argc, argv);

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

	/*
	 * Names of VMs are UTF-8, whatever the terminal is; numbers are the
	 * same everywhere, so no LC_NUMERIC.
	 */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");

	status = run(argc, argv);
	/*
	 * What was not written must not pass for a whole answer.  Where stdout is
	 * closed and nothing was to be written to it, nothing is missing.
	 */
	if (!ferror(stdout) && !__fpending(stdout) &&
	    fcntl(STDOUT_FILENO, F_GETFD) < 0)
		return status;
	if ((ferror(stdout) || fclose(stdout)) && status <= STATUS_ERROR)
		status = fail(STATUS_ERROR, "cannot write to stdout: %s",
			      strerror(errno));
	return status;
}
