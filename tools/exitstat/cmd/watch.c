// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/message.h"
#include "cmd/watch.h"
#include "view/output.h"

/* As a shell does. */
#define STATUS_NOT_FOUND 127
#define STATUS_CANNOT_RUN 126
#define STATUS_SIGNAL 128

/* Wait until CLOCK_MONOTONIC is @ns.  False if a signal came. */
static bool sleep_until(uint64_t ns)
{
	const struct timespec until = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	return !clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

void note_if_off(const struct exit_scan *scan)
{
	if (scan->nr_scopes && !scan->scopes[0].snap.enabled)
		note("exit accounting is off, these are the counts from before; to turn it on: echo 1 > /sys/module/kvm/parameters/exit_stats");
}

/*
 * The host's counters only begin anew with KVM's modules, and those of the VM that
 * we run in, which has no name, when it goes to another host.
 */
static void note_if_reloaded(const struct exit_scan *scan)
{
	const struct exit_scope *scope = scan->scopes;

	if (!scan->nr_scopes || !scope->is_new)
		return;
	if (scope->kind == SCOPE_HOST)
		note("KVM was loaded anew meanwhile, so these are the exits since then");
	else if (!*scope->vm)
		note("this VM was moved to another host, or begun anew by its VMM, so these are the exits since then");
}

/* What is counted only while somebody wants to know it, began later. */
static void note_since(const struct source *source)
{
	char time[TIME_SIZE];

	if (source->abilities & SOURCE_SINCE_LOAD)
		return;
	time_format(source->since, time);
	note("these are the exits that %s has counted since %s",
	     source->ops->name, time);
}

static void note_if_none(const struct output *output,
			 const struct exit_scan *scan)
{
	if (!scan->nr_scopes && !output->format->list)
		note("no VM is running that these options mean");
}

static int print_scan(struct output *output, const struct exit_selection *sel,
		      struct exit_scan *scan)
{
	int status = selection_check_reasons(sel, scan);

	if (status)
		return status;
	note_if_none(output, scan);
	selection_filter(sel, scan);
	return output_scan(output, scan);
}

static int print_difference(struct output *output,
			    const struct exit_selection *sel,
			    const struct exit_scan *now,
			    const struct exit_scan *before)
{
	struct exit_scan difference;
	int status;

	if (!scan_copy(&difference, now))
		return out_of_memory();
	scan_subtract(&difference, before);
	note_if_reloaded(&difference);
	status = print_scan(output, sel, &difference);
	scan_free(&difference);
	return status;
}

static int watch_once(struct output *output, struct source *source,
		      const struct exit_selection *sel)
{
	struct exit_scan scan = {};
	int status = source_read(source, sel, &scan);

	if (!status) {
		note_if_off(&scan);
		note_since(source);
		status = print_scan(output, sel, &scan);
	}
	scan_free(&scan);
	return status;
}

/* Readings that fail are told once; what comes after begins anew. */
struct gap {
	uint64_t lost;
	/* of the one that was the end */
	int status;
	char why[PATH_MAX + 256];
};

/* A VM that was named does not come again. */
static bool may_come_again(const struct exit_selection *sel)
{
	size_t i;

	for (i = 0; i < sel->nr_vm_patterns; i++) {
		if (sel->vm_patterns[i].best > VM_BY_PATTERN)
			return false;
	}
	return true;
}

/* False, after a message, if it makes no sense to go on. */
static bool read_interval(struct source *source,
			  const struct exit_selection *sel,
			  struct exit_scan *now, struct gap *gap)
{
	char why[sizeof(gap->why)];
	int status;

	capture_messages(why, sizeof(why));
	status = source_read(source, sel, now);
	capture_messages(NULL, 0);
	if (!status) {
		if (gap->lost)
			note("the counters can be read again, after %" PRIu64
			     " readings failed",
			     gap->lost);
		return true;
	}
	/* Who counts for us alone has KVM's modules, which then stay. */
	if (!may_come_again(sel) || !(source->abilities & SOURCE_SINCE_LOAD)) {
		gap->status = fail(status, "%s", why);
		return false;
	}
	if (!gap->lost++)
		note("nothing is shown until the counters can be read again: %s",
		     why);
	scan_free(now);
	return true;
}

static int watch_intervals(const struct arguments *args, struct output *output,
			   struct source *source,
			   const struct exit_selection *sel)
{
	struct exit_selection again = *sel;
	struct exit_scan before = {}, now;
	struct gap gap = {};
	bool any_lost = false;
	uint64_t next, done;
	int status = source_read(source, sel, &before);

	if (!status)
		note_if_off(&before);
	next = before.monotonic;
	again.again = true;

	for (done = 0; !status && (!args->count || done < args->count);
	     done++) {
		/* On the beat, however long the reading takes. */
		do
			next += args->interval;
		while (next <= clock_now(CLOCK_MONOTONIC));
		while (!sleep_until(next))
			;

		now = (struct exit_scan){};
		if (!read_interval(source, &again, &now, &gap)) {
			status = gap.status;
			break;
		}
		any_lost |= gap.lost;
		/* What was counted meanwhile is of no interval. */
		if (now.monotonic && before.monotonic)
			status = print_difference(output, sel, &now, &before);
		if (now.monotonic)
			gap.lost = 0;
		/* Whoever reads it wants it now; main() says what is wrong. */
		if (fflush(stdout))
			status = status ? status : STATUS_ERROR;
		scan_free(&before);
		before = now;
	}
	scan_free(&before);
	return status ? status : any_lost ? STATUS_ERROR : STATUS_OK;
}

/* The status of a command as a shell gives it. */
static int command_status(int status)
{
	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

/* What the terminal sends is for the command; we still have to print. */
static void leave_signals_to_command(struct sigaction *interrupt,
				     struct sigaction *quit)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &ignore, interrupt);
	sigaction(SIGQUIT, &ignore, quit);
}

int run_command(char **command, int *status)
{
	/* Ignored, as a parent may leave it, it has the kernel forget the status. */
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	struct sigaction interrupt, quit, child;
	int error;
	pid_t pid;

	fflush(stdout);
	leave_signals_to_command(&interrupt, &quit);
	sigaction(SIGCHLD, &usual, &child);
	pid = fork();
	if (!pid) {
		sigaction(SIGINT, &interrupt, NULL);
		sigaction(SIGQUIT, &quit, NULL);
		sigaction(SIGCHLD, &child, NULL);
		execvp(command[0], command);
		error = errno;
		fail(STATUS_ERROR, "cannot run '%s': %s", command[0],
		     strerror(error));
		_exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN);
	}
	if (pid < 0)
		return fail(STATUS_ERROR, "cannot run '%s': %s", command[0],
			    strerror(errno));

	while (waitpid(pid, status, 0) < 0) {
		if (errno != EINTR)
			return fail(STATUS_ERROR,
				    "the status of '%s' is not known: %s",
				    command[0], strerror(errno));
	}
	*status = command_status(*status);
	return STATUS_OK;
}

static int watch_command(char **words, struct output *output,
			 struct source *source,
			 const struct exit_selection *sel)
{
	struct exit_selection again = *sel;
	struct exit_scan before = {}, now = {};
	int command = STATUS_OK;
	int status = source_read(source, sel, &before);

	if (!status) {
		note_if_off(&before);
		status = run_command(words, &command);
	}
	again.again = true;
	/* Then there was nothing to measure. */
	if (!status && command != STATUS_NOT_FOUND &&
	    command != STATUS_CANNOT_RUN)
		status = source_read(source, &again, &now);
	if (!status && now.monotonic)
		status = print_difference(output, sel, &now, &before);

	scan_free(&before);
	scan_free(&now);
	return command ? command : status;
}

int watch(const struct arguments *args, const struct format *format,
	  const struct exit_selection *sel, unsigned int want)
{
	struct output output = { .format = format, .textfile = args->textfile };
	struct source source;
	int status;

	/* What was counted so far, or what is counted from now on. */
	if (!args->command && !args->interval)
		want |= SOURCE_COUNTED;
	status = source_open(&source, &args->setup, args->source, want);
	if (!status && args->command)
		status = watch_command(args->command, &output, &source, sel);
	else if (!status && args->interval)
		status = watch_intervals(args, &output, &source, sel);
	else if (!status)
		status = watch_once(&output, &source, sel);
	source_close(&source);
	return status;
}
