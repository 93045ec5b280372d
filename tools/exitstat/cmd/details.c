// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/message.h"
#include "base/text.h"
#include "cmd/watch.h"
#include "details/print.h"
#include "model/reasons_x86.h"
#include "source/cpuid.h"
#include "source/kvmhost.h"
#include "source/vmlist.h"

#define USUAL_INTERVAL 5000000000ULL

static const struct command_usage usage = {
	.name = "details",
	.operands = "REASON [-- COMMAND...]",
	.text = "Look at the exits of one reason for five seconds, each -d SEC, or while a\n"
		"command runs: which MSR, port, address, hypercall, CPUID leaf or vector they\n"
		"were for, how often, and how long they took.  REASON is a name or a number, or\n"
		"'userspace' for all exits that go to the VMM, by why.\n"
		"\n"
		"It counts by eBPF, on every kernel, and only while it runs: that reason's exits\n"
		"then take some 1200 instructions more, and all others some 400.",
	.options = TAKES_VM | TAKES_INTERVAL | TAKES_COUNT | TAKES_JSON |
		   TAKES_CSV | TAKES_TABLE | TAKES_DEBUGFS | TAKES_SYSFS |
		   TAKES_COMMAND | TAKES_RIP,
	.table = &details_table,
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* The one reason that @word means. */
static int find_reason(const struct reason_table *table, const char *word,
		       uint32_t *reason)
{
	char label[EXIT_NAME_SIZE], names[256] = "";
	size_t i, nr = 0;

	for (i = 0; i < table->nr_reasons; i++) {
		reason_label(label, table, table->reasons[i].nr);
		if (!reason_matches(table->reasons[i].nr, label, word))
			continue;
		*reason = table->reasons[i].nr;
		text_append(names, sizeof(names), ", ", label);
		nr++;
	}
	if (nr == 1)
		return STATUS_OK;
	if (nr)
		return fail(STATUS_ERROR, "%s is more than one reason: %s",
			    word, names);
	return fail(
		STATUS_ERROR,
		"there is no exit reason %s on %s: 'exitstat reasons' has all, and 'userspace' is all that go to the VMM",
		word, table->isa);
}

/* What is looked at, and what it is called. */
struct looking {
	const struct arguments *args;
	struct exit_selection sel;
	struct details_view view;
	struct details_wanted wanted;
	char name[EXIT_NAME_SIZE];
	struct exit_scan vms;
	uint32_t processes[DETAILS_PROCESSES];
	bool begun;
};

static int choose(struct looking *looking, const char *word)
{
	const struct arguments *args = looking->args;
	const struct kvm_vendor *vendor = kvm_vendor_find(args->setup.sysfs);
	const struct reason_table *table =
		reasons_of(vendor && vendor->isa ? vendor->isa : cpuid_isa());
	int status;

	looking->view.isa = table->isa;
	looking->wanted.is_svm = table == &svm_reasons;
	looking->view.rip = looking->wanted.rip = args->rip;
	looking->view.reason = looking->name;
	if (!strcasecmp(word, DETAILS_USERSPACE)) {
		strcpy(looking->name, DETAILS_USERSPACE);
		looking->view.of = &details_of_userspace;
		looking->wanted.from = looking->view.of->from;
		return STATUS_OK;
	}
	status = find_reason(table, word, &looking->wanted.reason);
	if (status)
		return status;
	reason_label(looking->name, table, looking->wanted.reason);
	looking->view.of = details_of_reason(table, looking->wanted.reason);
	if (looking->view.of)
		looking->wanted.from = looking->view.of->from;
	else if (!args->rip)
		return fail(
			STATUS_ERROR,
			"nothing tells exits of %s apart but where in the guest they happen: see 'exitstat explain %s', or use --rip",
			looking->name, looking->name);
	return STATUS_OK;
}

/* The processes of the VMs that the user named. */
static int choose_vms(struct looking *looking)
{
	struct details_wanted *wanted = &looking->wanted;
	const struct exit_selection *sel = &looking->sel;
	size_t i;
	int status;

	if (!sel->nr_vm_patterns)
		return STATUS_OK;
	if (!vmlist_read(&looking->args->setup, &looking->vms))
		return fail(STATUS_ERROR, "cannot read %s/kvm: %s",
			    looking->args->setup.debugfs, strerror(errno));
	status = selection_check_vms(sel, &looking->vms);
	if (status)
		return status;
	looking->view.vms = &looking->vms;
	for (i = 0; i < looking->vms.nr_scopes; i++) {
		if (!selection_has_vm(sel, &looking->vms.scopes[i]))
			continue;
		if (wanted->nr_processes == DETAILS_PROCESSES)
			return fail(
				STATUS_ERROR,
				"these are more than %d VMs: choose fewer, or all by no --vm",
				DETAILS_PROCESSES);
		looking->processes[wanted->nr_processes++] =
			looking->vms.scopes[i].pid;
	}
	wanted->processes = looking->processes;
	if (!wanted->nr_processes)
		return fail(STATUS_ERROR,
			    "no VM is running that these options mean");
	return STATUS_OK;
}

/* Until CLOCK_MONOTONIC is @ns, or a signal comes. */
static void wait_until(uint64_t ns)
{
	const struct timespec until = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	while (!interrupted && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
					       &until, NULL) == EINTR)
		;
}

static int print_interval(struct looking *looking,
			  const struct details *details,
			  struct details_rows *before, uint64_t *since)
{
	struct details_view *view = &looking->view;
	struct format format = looking->args->format;
	struct details_rows now, all;
	const uint64_t time = clock_now(CLOCK_MONOTONIC);
	bool done;

	if (!details_read(details, &now))
		return fail(STATUS_ERROR, "what was counted cannot be read: %s",
			    strerror(errno));
	details_merge(&now, looking->sel.nr_vm_patterns);
	all = now;
	all.rows = calloc(now.nr + 1, sizeof(*all.rows));
	if (!all.rows) {
		free(now.rows);
		return out_of_memory();
	}
	memcpy(all.rows, now.rows, now.nr * sizeof(*all.rows));
	details_subtract(&now, before);
	free(before->rows);
	*before = all;

	view->rows = now;
	view->interval = time - *since;
	view->realtime = clock_now(CLOCK_REALTIME);
	*since = time;
	if (now.nr_missed)
		note("exits that could not be followed: %" PRIu64,
		     now.nr_missed);
	/* As all tables of times. */
	format.scaled = format.kind == FORMAT_TABLE && isatty(STDOUT_FILENO);
	done = details_print(stdout, view, &format, &looking->begun);
	free(view->rows.rows);
	if (!done)
		return out_of_memory();
	return fflush(stdout) ? STATUS_ERROR : STATUS_OK;
}

static int look(struct looking *looking)
{
	const struct arguments *args = looking->args;
	const uint64_t interval = args->interval ? args->interval :
						   USUAL_INTERVAL;
	const uint64_t count = args->interval ? args->count : 1;
	struct details_rows before = {};
	struct details *details;
	uint64_t since, next, done;
	int command = STATUS_OK;
	int status = details_attach(&details, &looking->wanted);

	since = next = clock_now(CLOCK_MONOTONIC);
	if (!status && args->command) {
		status = run_command(args->command, &command);
		if (!status)
			status = print_interval(looking, details, &before,
						&since);
	}
	for (done = 0; !status && !args->command && !interrupted &&
		       (!count || done < count);
	     done++) {
		/* On the beat, however long the reading takes. */
		do
			next += interval;
		while (next <= clock_now(CLOCK_MONOTONIC));
		wait_until(next);
		status = print_interval(looking, details, &before, &since);
	}
	details_detach(details);
	free(before.rows);
	return command ? command : status;
}

static int run(const struct arguments *args, const char *word)
{
	const struct sigaction end = { .sa_handler = on_signal };
	struct looking looking = { .args = args };
	int status;

	set_selection(args, &looking.sel);
	status = choose(&looking, word);
	if (!status)
		status = choose_vms(&looking);
	if (!status) {
		/* What was seen so far is shown. */
		sigaction(SIGINT, &end, NULL);
		sigaction(SIGTERM, &end, NULL);
		status = look(&looking);
	}
	scan_free(&looking.vms);
	return status;
}

int cmd_details(int argc, char **argv)
{
	const char *word = argc > 1 && *argv[1] != '-' ? argv[1] : NULL;
	struct arguments args;
	int status;

	/* It comes first, for behind -- there is another command line. */
	if (word) {
		argv[1] = argv[0];
		argc--;
		argv++;
	}
	if (parse_options(argc, argv, &usage, &args, &status))
		status =
			word ? run(&args, word) :
			       fail(STATUS_USAGE,
				    "REASON is missing, or does not come first: see 'exitstat details --help'");
	arguments_free(&args);
	return status;
}
