// SPDX-License-Identifier: GPL-2.0
/*
 * A whole reading: the files of debugfs, sysfs and procfs as they are at two
 * moments, and what is printed of them.
 *
 * The first text is a line of words that stand for options.  Each further text
 * is a file: its path in the first line, which is kept inside of the target's
 * own directory, and behind that its content.  "path/" is a directory, "-path"
 * goes away with all that is in it, and "then" is the time between the moments.
 */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/message.h"
#include "cmd/options.h"
#include "common.h"
#include "output_check.h"
#include "view/lines.h"
#include "view/output.h"
#include "view/scan_metrics.h"

#define MAX_FILES 64
#define MAX_PATTERNS 4

/* What one run is about. */
struct run {
	struct arguments args;
	struct exit_selection sel;
	struct vm_pattern vms[MAX_PATTERNS];
	char *reasons[MAX_PATTERNS];
	char root[256], debugfs[300], sysfs[300], procfs[300];
	bool prometheus;
};

static bool set_word(struct run *run, char *word)
{
	struct arguments *args = &run->args;
	char *value = strchr(word, '=');

	value = value ? value + 1 : word + strlen(word);
	if (!strcmp(word, "list"))
		args->format.list = true;
	else if (!strcmp(word, "host"))
		args->host = true;
	else if (!strcmp(word, "latency"))
		args->latency = true;
	else if (!strcmp(word, "json"))
		args->format.kind = FORMAT_JSON;
	else if (!strcmp(word, "csv"))
		args->format.kind = FORMAT_CSV;
	else if (!strcmp(word, "openmetrics"))
		args->format.kind = FORMAT_OPENMETRICS;
	else if (!strcmp(word, "prometheus"))
		run->prometheus = true;
	else if (!strcmp(word, "ns"))
		args->format.ns = true;
	else if (!strcmp(word, "vcpus"))
		args->vcpus = args->format.vcpus = true;
	else if (!strncmp(word, "vcpu=", 5))
		args->vcpus = args->format.vcpus = true,
		args->vcpu = atoi(value);
	else if (!strncmp(word, "vm=", 3) && args->nr_vms < MAX_PATTERNS)
		args->vms[args->nr_vms++].text = value;
	else if (!strncmp(word, "reason=", 7) &&
		 args->nr_reasons < MAX_PATTERNS)
		args->reasons[args->nr_reasons++] = value;
	else if (!strncmp(word, "columns=", 8))
		args->format.columns = value;
	else if (!strncmp(word, "sort=", 5))
		args->format.sort = value;
	else
		return false;
	return true;
}

static void set_options(struct run *run, char *line)
{
	struct arguments *args = &run->args;
	const struct table *table;
	char *word, *save = NULL;

	*run = (struct run){ .args.vcpu = -1 };
	args->vms = run->vms;
	args->reasons = run->reasons;

	/* A NUL would only end the line. */
	for (word = strtok_r(line, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save))
		set_word(run, word);

	/* As parse_options() leaves them. */
	user_words = true;
	table = args->format.list ? &vm_table_columns : &reason_table_columns;
	if (table_check(table, args->format.columns, NULL, "show"))
		args->format.columns = NULL;
	if (table_check(table, NULL, args->format.sort, "show"))
		args->format.sort = NULL;

	/* --vm is in a message, too. */
	user_words = args->nr_vms;

	strcpy(run->root, work_dir());
	snprintf(run->debugfs, sizeof(run->debugfs), "%s/debug", run->root);
	snprintf(run->sysfs, sizeof(run->sysfs), "%s/sys", run->root);
	snprintf(run->procfs, sizeof(run->procfs), "%s/proc", run->root);
	args->setup.debugfs = run->debugfs;
	args->setup.sysfs = run->sysfs;
	args->setup.procfs = run->procfs;

	/* As cmd_show() and cmd_list() do. */
	set_selection(args, &run->sel);
	run->sel.host_latency = run->sel.vm_latency = args->latency;
	if (args->format.list) {
		run->sel.host = false;
		run->sel.vms = true;
		run->sel.nr_vcpus = true;
	}
}

static int remove_entry(const char *path, const struct stat *st, int flag,
			struct FTW *ftw)
{
	(void)st;
	(void)flag;
	/* The root itself stays. */
	return ftw->level ? remove(path) : 0;
}

static void remove_below(const char *path)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Only names of letters, digits and what is usual, and none that goes up. */
static bool is_inside(const char *path)
{
	const char *name;
	size_t len;

	if (!*path || strlen(path) > 120)
		return false;
	for (name = path; *name; name += len + !!name[len]) {
		len = strcspn(name, "/");
		if (!len || *name == '.' ||
		    strspn(name, "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789-_.") < len)
			return false;
	}
	return true;
}

static void make_dirs(const char *root, char *path)
{
	char *slash = path + strlen(root) + 1;

	for (; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

static void make_file(const char *root, const char *path, const char *text,
		      size_t len)
{
	char full[PATH_MAX];
	int i, fd = -1;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (i = 0; i < 2 && fd < 0; i++) {
		if (i || full[strlen(full) - 1] == '/')
			make_dirs(root, full);
		fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	}
	/* It may be a directory, or below what is none. */
	if (fd < 0)
		return;
	check(write(fd, text, len) == (ssize_t)len);
	close(fd);
}

/* A file's text.  False if it is the time between the moments. */
static bool put_file(const char *root, char *text, size_t len)
{
	size_t head = strcspn(text, "\n");
	char full[PATH_MAX];

	/* A NUL may stand there as well. */
	text[head] = '\0';
	if (!strcmp(text, "then"))
		return false;
	if (*text == '-') {
		if (is_inside(text + 1)) {
			snprintf(full, sizeof(full), "%s/%s", root, text + 1);
			remove_below(full);
			remove(full);
		}
	} else if (is_inside(text)) {
		make_file(root, text, text + head + (head < len),
			  len - head - (head < len));
	}
	return true;
}

/* True if it was read, false after a message. */
static bool read_scan(struct run *run, struct exit_scan *scan)
{
	struct source source;
	int status;
	size_t i;

	nr_messages = 0;
	status = source_open(&source, &run->args.setup, NULL,
			     source_wanted(&run->sel));
	check(!status && !nr_messages);
	status = source_read(&source, &run->sel, scan);
	source_close(&source);
	if (status) {
		check(nr_messages == 1);
		check(status == STATUS_ERROR || status == STATUS_UNSUPPORTED);
		return false;
	}

	for (i = 0; i < scan->nr_scopes; i++) {
		const struct exit_scope *scope = &scan->scopes[i];

		check(!i || scope_cmp(scope - 1, scope) < 0);
		check(scan_find(scan, scope) == scope);
		check(strlen(scope->vm) < VM_ID_SIZE);
		check(strlen(scope->name) < VM_NAME_SIZE);
		check(!strchr(scope->name, '\n') &&
		      is_clean_text(scope->name, strlen(scope->name)));
	}
	return true;
}

static void print_prometheus(const struct format *format,
			     const struct exit_scan *scan)
{
	size_t len;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	check(out);
	print_scan_metrics(out, format, scan, true);
	check(!fclose(out));
	check(is_clean_text(text, len));
	check_metrics(text, true);
	free(text);
}

static void print(struct run *run, struct exit_scan *scan)
{
	struct output output = { .format = &run->args.format };
	char *text;
	size_t len;
	int status;

	selection_filter(&run->sel, scan);
	if (run->prometheus) {
		print_prometheus(&run->args.format, scan);
		return;
	}

	nr_messages = 0;
	stdout_begin();
	status = output_scan(&output, scan);
	text = stdout_end(&len);
	if (status) {
		/* Only for --units ns. */
		check(nr_messages == 1 && !len && run->args.format.ns);
		free(text);
		return;
	}

	check(strlen(text) == len);
	switch (run->args.format.kind) {
	case FORMAT_TABLE:
		check(is_clean_text(text, len));
		break;
	case FORMAT_JSON:
		check(is_clean_text(text, len));
		check_json(text, len);
		break;
	case FORMAT_CSV:
		check_csv(text);
		break;
	case FORMAT_OPENMETRICS:
		check(is_clean_text(text, len));
		check_metrics(text, false);
		break;
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exit_scan before = {}, now = {}, all = {};
	bool two = false, was_read = false;
	unsigned int nr = 0;
	char *options, *text;
	struct run run;
	size_t len;

	options = next_text(&data, &size, &len);
	if (!options)
		return 0;
	set_options(&run, options);

	while (nr++ < MAX_FILES && (text = next_text(&data, &size, &len))) {
		if (!put_file(run.root, text, len) && !two) {
			two = true;
			was_read = read_scan(&run, &before);
		}
		free(text);
	}

	if (read_scan(&run, &now)) {
		check(scan_copy(&all, &now));
		print(&run, &all);
		if (was_read) {
			scan_subtract(&now, &before);
			/* Two moments may have the same time here. */
			now.interval += !now.interval;
			print(&run, &now);
		}
	}

	scan_free(&before);
	scan_free(&now);
	scan_free(&all);
	remove_below(run.root);
	free(options);
	return 0;
}
