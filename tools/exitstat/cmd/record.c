// SPDX-License-Identifier: GPL-2.0
/*
 * exitstat record
 *
 * It is to run for weeks.  So what goes wrong on the way, a full disk or a
 * module that is unloaded, is told once and counted, and the recording goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/message.h"
#include "cmd/watch.h"
#include "doctor/facts.h"
#include "recording/file.h"
#include "recording/format.h"
#include "recording/write.h"

#define DEFAULT_INTERVAL 1000000000ULL
#define DEFAULT_FILE "exitstat.jsonl"

static const struct command_usage usage = {
	.name = "record",
	.operands = "",
	.text = "Record the exits of the host and of all VMs, or of some, for 'exitstat report'\n"
		"and 'exitstat diff'.  A sample is written at once, then one each second or each\n"
		"-d SEC, -n times or until SIGINT or SIGTERM, and one at the end.\n"
		"\n"
		"FILE is created, or if it is a recording, appended to; what is in it stays.\n"
		"Without -o it is exitstat.jsonl, and with -o - stdout.  After FILE was renamed,\n"
		"SIGHUP opens it anew.",
	.options = TAKES_OUTPUT | TAKES_INTERVAL | TAKES_COUNT | TAKES_VM |
		   TAKES_VCPUS | TAKES_LATENCY | TAKES_SOURCE | TAKES_LEVEL |
		   TAKES_DEBUGFS | TAKES_SYSFS,
};

enum trouble {
	NO_TROUBLE,
	CANNOT_READ,
	CANNOT_WRITE,
};

struct recorder {
	const struct arguments *args;
	struct source source;
	struct exit_selection sel;
	struct recording_writer writer;
	struct recording_facts facts;
	struct recording_file file;
	/* the next sample begins a section */
	bool begin;
	/* in this section; and of these, before the next sample */
	uint64_t samples, lost, lost_before;
	/* in sections of this file that have ended */
	uint64_t samples_before, lost_in_all;
	/* which the user was told of, so that it is told once */
	enum trouble trouble;
	/* There is no file, and none can be made. */
	bool no_file;
	/* there was one at the beginning */
	bool terminal;
	int signals;
};

/* The terminal that the user may close. */
static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int catch_signals(void)
{
	struct sigaction old;
	sigset_t set;

	/* As errors of write() they are less surprising. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* nohup */
	if (sigaction(SIGHUP, NULL, &old) || old.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Wait until CLOCK_MONOTONIC is @ns.  A signal that came before, or 0. */
static int wait_until(const struct recorder *recorder, uint64_t ns)
{
	struct pollfd fd = { .fd = recorder->signals, .events = POLLIN };
	struct signalfd_siginfo info;
	struct timespec left = {};
	uint64_t now;

	for (;;) {
		now = clock_now(CLOCK_MONOTONIC);
		if (now < ns)
			left = (struct timespec){
				.tv_sec = (ns - now) / 1000000000,
				.tv_nsec = (ns - now) % 1000000000,
			};
		else
			left = (struct timespec){};
		ppoll(&fd, 1, &left, NULL);
		if (read(fd.fd, &info, sizeof(info)) == sizeof(info))
			return info.ssi_signo;
		if (now >= ns)
			return 0;
	}
}

/* Count a sample that was lost, after the first message of @trouble. */
static void lose(struct recorder *recorder, enum trouble trouble)
{
	recorder->lost++;
	recorder->lost_before++;
	recorder->trouble = trouble;
	recording_lost(&recorder->writer);
}

static bool write_line(struct recorder *recorder, char *text, size_t len)
{
	bool ok = false;

	if (!text)
		errno = ENOMEM;
	else if (recorder->no_file)
		errno = ENOENT;
	else if (len > RECORDING_MAX_LINE)
		errno = EFBIG;
	else
		ok = recording_file_write(&recorder->file, text, len);
	free(text);
	return ok;
}

static void report_write_error(const struct recorder *recorder, int error)
{
	const char *path = recorder->file.path;

	if (error == EFBIG)
		note("cannot write to %s: it has the largest size that is allowed, or there are more VMs and vCPUs than fit in a line: samples are being lost",
		     path);
	else
		note("cannot write to %s: %s: samples are being lost", path,
		     strerror(error));
}

/* The counters of another module, with which differences make no sense. */
static bool is_other_kvm(const struct recording_writer *writer,
			 const struct exit_snapshot *snap)
{
	const struct exit_snapshot *before;

	if (memcmp(writer->has, snap->has, sizeof(snap->has)))
		return true;
	if (!writer->before.nr_scopes)
		return false;
	before = &writer->before.scopes[0].snap;
	return strcmp(before->isa, snap->isa) ||
	       before->clock.tsc_khz != snap->clock.tsc_khz ||
	       before->clock.ns != snap->clock.ns;
}

/* Write @scan, and the header if it is due.  False and errno on error. */
static bool write_sample(struct recorder *recorder, struct exit_scan *scan)
{
	struct recording_writer *writer = &recorder->writer;
	char *text;
	size_t len;

	if (!recorder->begin && is_other_kvm(writer, &scan->scopes[0].snap)) {
		/* What was lost belongs to what comes, as the next line says. */
		recorder->lost -= recorder->lost_before;
		text = recording_end(writer, "KVM", recorder->samples,
				     recorder->lost, &len);
		if (!write_line(recorder, text, len)) {
			recorder->lost += recorder->lost_before;
			return false;
		}
		recorder->samples_before += recorder->samples;
		recorder->lost_in_all += recorder->lost;
		recorder->samples = 0;
		recorder->lost = recorder->lost_before;
		recorder->begin = true;
	}
	if (recorder->begin) {
		text = recording_header(writer, scan, &len);
		if (!write_line(recorder, text, len)) {
			recorder->begin = true;
			return false;
		}
		recorder->begin = false;
	}

	text = recording_sample(writer, scan, recorder->lost_before, &len);
	if (!write_line(recorder, text, len))
		return false;
	recording_written(writer, scan);
	recorder->samples++;
	return true;
}

static void tell_of_recovery(struct recorder *recorder)
{
	if (recorder->trouble != NO_TROUBLE)
		note("%s again, after %" PRIu64 " samples were lost",
		     recorder->trouble == CANNOT_WRITE ?
			     "samples are being written" :
			     "the counters can be read",
		     recorder->lost_before);
	recorder->trouble = NO_TROUBLE;
	recorder->lost_before = 0;
}

/*
 * What people and their tools do to a file that is written: the recording goes on
 * with a section of its own, which needs nothing of what was there before.
 */
static void follow_file(struct recorder *recorder)
{
	const char *path = recorder->file.path;
	struct recording_file file;
	char why[PATH_MAX + 256];

	if (recording_file_truncated(&recorder->file)) {
		note("%s was truncated: what was in it is lost, and the recording goes on",
		     path);
		recorder->begin = true;
	}
	if (!strcmp(recorder->args->output, "-") ||
	    !recording_file_removed(&recorder->file))
		return;

	capture_messages(why, sizeof(why));
	recorder->no_file = recording_file_open(&file, recorder->args->output,
						recorder->signals);
	capture_messages(NULL, 0);
	if (recorder->no_file) {
		if (recorder->trouble != CANNOT_WRITE)
			note("%s was removed: %s", path, why);
		return;
	}
	note("%s was removed: what was in it is lost, and the recording goes on in a new file",
	     path);
	recording_file_close(&recorder->file);
	recorder->file = file;
	recorder->begin = true;
}

/* False if it makes no sense to go on. */
static bool take_sample(struct recorder *recorder)
{
	struct exit_scan scan = {};
	char why[PATH_MAX + 256];
	bool go_on = true;
	int status, error;

	capture_messages(why, sizeof(why));
	status = source_read(&recorder->source, &recorder->sel, &scan);
	capture_messages(NULL, 0);
	/* Just before it is written: reading takes its time. */
	follow_file(recorder);

	if (status) {
		if (recorder->trouble != CANNOT_READ)
			note("samples are being lost: %s", why);
		lose(recorder, CANNOT_READ);
	} else if (write_sample(recorder, &scan)) {
		tell_of_recovery(recorder);
	} else {
		error = errno;
		if (recorder->trouble != CANNOT_WRITE)
			report_write_error(recorder, error);
		lose(recorder, CANNOT_WRITE);
		/* A reader of a pipe that has gone does not come again. */
		go_on = error != EPIPE;
	}
	scan_free(&scan);
	return go_on;
}

/* Write the end, and say what is in the file. */
static int end_section(struct recorder *recorder, const char *why)
{
	const uint64_t samples = recorder->samples_before + recorder->samples;
	const uint64_t lost = recorder->lost_in_all + recorder->lost;
	int status = lost ? STATUS_ERROR : STATUS_OK;
	char *text;
	size_t len;

	text = recording_end(&recorder->writer, why, recorder->samples,
			     recorder->lost, &len);
	if (!write_line(recorder, text, len) && !status)
		status = fail(STATUS_ERROR, "cannot write the end to %s: %s",
			      recorder->file.path, strerror(errno));
	if (!recording_file_close(&recorder->file) && !status)
		status = fail(STATUS_ERROR, "cannot write all of %s: %s",
			      recorder->file.path, strerror(errno));

	if (lost)
		note("%" PRIu64 " samples in %s, and %" PRIu64 " were lost",
		     samples, recorder->file.path, lost);
	else
		note("%" PRIu64 " samples in %s", samples, recorder->file.path);
	return status;
}

/*
 * The file was renamed: go on in a new one.  The sample that ends the old one
 * also begins the new one, so that nothing is missing in between.
 */
static int open_anew(struct recorder *recorder)
{
	struct recording_file file;
	struct exit_scan scan = {};
	bool ok;
	int status;

	if (!recording_file_moved(&recorder->file))
		return STATUS_OK;
	if (recording_file_open(&file, recorder->args->output,
				recorder->signals)) {
		note("the recording goes on in the old file");
		return STATUS_OK;
	}

	take_sample(recorder);
	ok = recorder->trouble == NO_TROUBLE &&
	     scan_copy(&scan, &recorder->writer.before);
	status = end_section(recorder, "SIGHUP");

	recorder->file = file;
	recorder->begin = true;
	recorder->samples = recorder->lost = 0;
	recorder->samples_before = recorder->lost_in_all = 0;
	if (ok && !write_sample(recorder, &scan)) {
		report_write_error(recorder, errno);
		lose(recorder, CANNOT_WRITE);
	}
	scan_free(&scan);
	return status;
}

/* The name of what ends the recording, or NULL if it goes on. */
static const char *handle_signal(struct recorder *recorder, int signal,
				 int *status)
{
	int old;

	if (signal == SIGINT)
		return "SIGINT";
	if (signal == SIGTERM)
		return "SIGTERM";
	/* Nothing can be opened anew, or the user has gone. */
	if (!recorder->file.regular || !strcmp(recorder->args->output, "-") ||
	    (recorder->terminal && !has_terminal()))
		return "SIGHUP";
	old = open_anew(recorder);
	if (old)
		*status = old;
	return NULL;
}

static int record(struct recorder *recorder)
{
	const struct arguments *args = recorder->args;
	uint64_t next = recorder->writer.start, done = 0;
	const char *why = NULL;
	int status = STATUS_OK, end, signal;

	while (!why) {
		if (args->count && done == args->count) {
			why = "count";
			break;
		}

		/* On the beat, however long the reading takes. */
		while (next <= clock_now(CLOCK_MONOTONIC))
			next += recorder->writer.interval;
		signal = wait_until(recorder, next);
		if (signal) {
			why = handle_signal(recorder, signal, &status);
			if (why) {
				recorder->file.ending = true;
				take_sample(recorder);
			}
			continue;
		}
		done++;
		if (!take_sample(recorder))
			why = "EPIPE";
	}

	end = end_section(recorder, why);
	return end ? end : status;
}

/* What makes numbers of two hosts, or of two boots, differ. */
static void read_facts(struct recorder *recorder)
{
	static const char *const groups[] = { "machine", "kvm", "parameters",
					      "mitigations" };
	struct recording_facts *facts = &recorder->facts;
	struct fact_list *list = malloc(sizeof(*list));
	size_t i, g;

	if (list)
		facts_read(list, &recorder->source.setup);
	for (g = 0; list && g < ARRAY_SIZE(groups); g++) {
		for (i = 0; i < list->nr && facts->nr < RECORDING_MAX_FACTS;
		     i++) {
			const struct fact *from = &list->facts[i];
			struct recording_fact *to = &facts->facts[facts->nr];
			/* Elsewhere the text says what the value means. */
			const bool text = !strcmp(groups[g], "mitigations") ||
					  !strcmp(groups[g], "kvm");

			if (strcmp(from->group, groups[g]))
				continue;
			snprintf(to->name, sizeof(to->name), "%s.%s",
				 from->group, from->name);
			snprintf(to->value, sizeof(to->value), "%.100s%s%.80s",
				 from->value, text && *from->text ? ": " : "",
				 text ? from->text : "");
			facts->nr++;
		}
	}
	free(list);
	recorder->writer.facts = facts;
}

static int begin(struct recorder *recorder)
{
	struct exit_scan scan = {};
	int status;

	status = source_read(&recorder->source, &recorder->sel, &scan);
	if (!status) {
		note_if_off(&scan);
		read_facts(recorder);
	}
	/* From now on VMs may come and go. */
	recorder->sel.may_have_ended = true;

	if (!status)
		status = recording_file_open(&recorder->file,
					     recorder->args->output,
					     recorder->signals);
	if (!status && !write_sample(recorder, &scan)) {
		status = fail(STATUS_ERROR, "cannot write to %s: %s",
			      recorder->file.path, strerror(errno));
		recording_file_close(&recorder->file);
	}
	scan_free(&scan);
	return status;
}

/* One that has what the user named; all VMs only if it has any. */
static int open_source(struct recorder *recorder)
{
	const struct arguments *args = recorder->args;
	struct exit_selection *sel = &recorder->sel;
	struct source_setup setup = args->setup;
	int status;

	if (args->latency && !setup.level)
		setup.level = LEVEL_HISTOGRAMS;
	sel->vms = args->nr_vms || args->vcpus;
	status = source_open(&recorder->source, &setup, args->source,
			     source_wanted(sel));
	sel->vms = recorder->source.abilities & SOURCE_VMS;
	return status;
}

static int run(const struct arguments *args)
{
	struct recorder recorder = {
		.args = args,
		.sel = {
			.host = true,
			.vcpus = args->vcpus,
			.host_latency = true,
			.vm_latency = args->latency,
			.vm_patterns = args->vms,
			.nr_vm_patterns = args->nr_vms,
			.vcpu = args->vcpu,
		},
		.writer = {
			.interval = args->interval ? args->interval :
						     DEFAULT_INTERVAL,
		},
		.begin = true,
		.terminal = has_terminal(),
	};
	int status;

	recorder.signals = catch_signals();
	if (recorder.signals < 0)
		return fail(STATUS_ERROR, "cannot wait for signals: %s",
			    strerror(errno));
	status = open_source(&recorder);
	if (!status)
		status = begin(&recorder);
	if (!status)
		status = record(&recorder);
	recording_writer_free(&recorder.writer);
	source_close(&recorder.source);
	close(recorder.signals);
	return status;
}

int cmd_record(int argc, char **argv)
{
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status)) {
		/* As perf does, and as that says at its end. */
		if (!args.output)
			args.output = DEFAULT_FILE;
		status = run(&args);
	}
	arguments_free(&args);
	return status;
}
