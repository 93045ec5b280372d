// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "base/message.h"
#include "base/parse.h"
#include "source/kvmtext.h"
#include "source/sysfs.h"

/* No file of sysfs is larger. */
#define MAX_FILE_SIZE 4096
#define DIR_PREFIX "reason-"
#define DIR_SIZE 32

struct reader {
	struct exit_snapshot *snap;
	/* .../exit_stats, and the same while it is open */
	char root[PATH_MAX];
	DIR *dir;
	const struct source *source;
};

static void set_root(char *root, const char *sysfs)
{
	snprintf(root, PATH_MAX, "%s/kernel/kvm/exit_stats", sysfs);
}

static unsigned int probe(const struct source_setup *setup, char *why,
			  size_t size)
{
	char root[PATH_MAX];
	struct stat st;

	set_root(root, setup->sysfs);
	if (!stat(root, &st) || (errno != ENOENT && errno != ENOTDIR))
		return sysfs_source.abilities;
	snprintf(why, size, "there is no %s", root);
	return 0;
}

/* The directory goes with kvm_intel or kvm_amd, and may come again with it. */
static bool is_gone(const struct reader *reader)
{
	struct stat then, now;

	return fstat(dirfd(reader->dir), &then) || stat(reader->root, &now) ||
	       then.st_dev != now.st_dev || then.st_ino != now.st_ino;
}

static int gone(const struct reader *reader)
{
	return fail(
		STATUS_ERROR,
		"%s ended while it was read: kvm_intel or kvm_amd was removed, try again once it is loaded",
		reader->root);
}

static int no_permission(const struct reader *reader, const char *path)
{
	const struct source *source = reader->source;
	char better[sizeof(source->why) + 64] = "";

	if (source->better)
		snprintf(better, sizeof(better), ", and %s cannot be read (%s)",
			 source->better->name, source->why);
	return fail(
		STATUS_ERROR,
		"no permission to read %s%s: run exitstat as root, or let the administrator chgrp and chmod the files in %s",
		path, better, reader->root);
}

static int explain(const struct reader *reader, const char *path, int error)
{
	if (reader->dir && is_gone(reader))
		return gone(reader);
	if (error == ENOENT && reader->dir)
		return damaged(path, 0, "the file is missing");
	if (error == EACCES || error == EPERM)
		return no_permission(reader, path);
	if (error == ENOENT)
		return fail(
			STATUS_UNSUPPORTED,
			"there is no %s: load kvm_intel or kvm_amd, of a kernel whose KVM has exit accounting",
			path);

	return fail(STATUS_ERROR, "cannot read %s: %s", path, strerror(error));
}

/* Read the line that is all of a file. */
static int read_line(const struct reader *reader, const char *path, char *line,
		     size_t size)
{
	int status = STATUS_OK;
	size_t len;
	char *text = read_file(path, MAX_FILE_SIZE, &len);

	if (!text)
		return explain(reader, path, errno);

	if (!len)
		status = damaged(path, 0, "the file is empty");
	else if (text[len - 1] != '\n')
		status = damaged(path, 0, "the line has no end");
	else if (strcspn(text, "\n") != len - 1)
		status = damaged(path, 0, "it is not one line");
	else if (len > size)
		status = damaged(path, 0, "the line is too long");
	else
		snprintf(line, size, "%.*s", (int)len - 1, text);

	free(text);
	return status;
}

static void set_path(const struct reader *reader, char *path, const char *dir,
		     const char *file)
{
	size_t len = strlen(reader->root);

	memcpy(path, reader->root, len);
	snprintf(path + len, PATH_MAX - len, "%s%s/%s", dir ? "/" : "",
		 dir ? dir : "", file);
}

/* The value of a file in directory @dir, or in the root if that is NULL. */
static int read_u64(const struct reader *reader, const char *dir,
		    const char *file, uint64_t max, uint64_t *value)
{
	char path[PATH_MAX], line[32];
	int status;

	set_path(reader, path, dir, file);
	status = read_line(reader, path, line, sizeof(line));
	if (!status && !parse_u64(line, max, value))
		status = damaged(path, 0, "no valid %s", file);
	return status;
}

static int read_name(const struct reader *reader, const char *dir, char *name)
{
	char path[PATH_MAX], line[EXIT_NAME_SIZE];
	int status;

	set_path(reader, path, dir, "name");
	status = read_line(reader, path, line, sizeof(line));
	if (!status && !parse_name(line, name, EXIT_NAME_SIZE))
		status = damaged(path, 0, "no valid name");
	return status;
}

static int read_isa(const struct reader *reader)
{
	char path[PATH_MAX], line[EXIT_WORD_SIZE];
	int status;

	set_path(reader, path, NULL, "isa");
	status = read_line(reader, path, line, sizeof(line));
	if (!status &&
	    !parse_word(line, reader->snap->isa, sizeof(reader->snap->isa)))
		status = damaged(path, 0, "no valid isa");
	return status;
}

static int read_version(const struct reader *reader)
{
	char path[PATH_MAX];
	uint64_t version;
	int status;

	status = read_u64(reader, NULL, "version", UINT64_MAX, &version);
	if (status)
		return status;

	set_path(reader, path, NULL, "version");
	return version ? check_version(path, version) :
			 damaged(path, 0, "no valid version");
}

static int read_head(const struct reader *reader)
{
	struct exit_snapshot *snap = reader->snap;
	uint64_t tsc_khz, enabled;
	const struct {
		const char *file;
		uint64_t max, *value;
	} numbers[] = {
		{ "tsc_khz", UINT32_MAX, &tsc_khz },
		{ "enabled", 1, &enabled },
		{ "guest_cycles", UINT64_MAX, &snap->guest_cycles },
		{ "failed_entries", UINT64_MAX, &snap->failed_entries },
		{ "clamped", UINT64_MAX, &snap->clamped },
	};
	size_t i;
	int status;

	status = read_version(reader);
	if (!status)
		status = read_isa(reader);
	for (i = 0; !status && i < ARRAY_SIZE(numbers); i++)
		status = read_u64(reader, NULL, numbers[i].file, numbers[i].max,
				  numbers[i].value);
	if (status)
		return status;

	snap->clock.tsc_khz = tsc_khz;
	snap->enabled = enabled;
	snap->has_faults = true;
	snap->has_guest_cycles = true;
	for (i = 0; i < NR_COUNTS; i++)
		snap->has[i] = true;
	return STATUS_OK;
}

/* Which reason a directory is of.  Its name is spelled in one way only. */
static bool parse_dir(const char *name, struct exit_row *row)
{
	const char *text = name + strlen(DIR_PREFIX);
	char again[DIR_SIZE];
	uint64_t reason;

	row->other = !strcmp(text, "other");
	if (row->other)
		return true;
	if (!parse_u64(text, UINT32_MAX, &reason))
		return false;

	row->reason = reason;
	snprintf(again, sizeof(again), DIR_PREFIX "%" PRIu32, row->reason);
	return !strcmp(name, again);
}

static int read_reason(const struct reader *reader, const char *dir)
{
	struct exit_row row = {}, *new;
	int status;
	size_t c;

	if (!parse_dir(dir, &row))
		return damaged(reader->root, 0,
			       "a directory has no reason's name");

	status = read_name(reader, dir, row.name);
	for (c = 0; !status && c < NR_COUNTS; c++)
		status = read_u64(reader, dir, exit_count_names[c], UINT64_MAX,
				  &row.counts[c]);
	/* debugfs has no row for it either. */
	if (status || !counts_any(row.counts))
		return status;

	new = snapshot_add_row(reader->snap);
	if (!new)
		return out_of_memory();
	*new = row;
	return STATUS_OK;
}

static int read_reasons(const struct reader *reader)
{
	const struct dirent *entry;
	bool other = false;
	int status;

	while (errno = 0, (entry = readdir(reader->dir))) {
		if (strncmp(entry->d_name, DIR_PREFIX, strlen(DIR_PREFIX)))
			continue;
		status = read_reason(reader, entry->d_name);
		if (status)
			return status;
		other = other || !strcmp(entry->d_name, DIR_PREFIX "other");
	}
	if (errno)
		return explain(reader, reader->root, errno);
	/* Its list is then short, without an error. */
	if (is_gone(reader))
		return gone(reader);
	/* KVM makes it last and removes it last, so now the rest was there. */
	if (!other)
		return damaged(reader->root, 0,
			       "the directory " DIR_PREFIX "other is missing");
	if (!snapshot_finish(reader->snap))
		return damaged(reader->root, 0, "it has a reason twice");
	return STATUS_OK;
}

static int read_host(const struct source *source, struct exit_snapshot *snap)
{
	struct reader reader = { .snap = snap, .source = source };
	int status;

	set_root(reader.root, source->setup.sysfs);
	reader.dir = opendir(reader.root);
	if (!reader.dir)
		return explain(&reader, reader.root, errno);

	status = read_head(&reader);
	if (!status)
		status = read_reasons(&reader);
	closedir(reader.dir);
	return status;
}

/* That these are not the ones that the user may have expected, and why. */
static void tell(struct source *source)
{
	char root[PATH_MAX];

	if (source->told || !source->better)
		return;
	source->told = true;
	set_root(root, source->setup.sysfs);
	note("%s cannot be read (%s), showing the host's totals from %s",
	     source->better->name, source->why, root);
}

static int read_sysfs(struct source *source, const struct exit_selection *sel,
		      struct exit_scan *scan)
{
	struct exit_scope *scope;
	int status;

	if (!sel->host)
		return STATUS_OK;
	scope = scan_add(scan);
	status = scope ? read_host(source, &scope->snap) : out_of_memory();
	if (!status)
		tell(source);
	return status;
}

const struct source_ops sysfs_source = {
	.name = "sysfs",
	.abilities = SOURCE_HOST | SOURCE_SINCE_LOAD | SOURCE_COUNTED,
	.probe = probe,
	.read = read_sysfs,
};
