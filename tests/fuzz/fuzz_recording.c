// SPDX-License-Identifier: GPL-2.0
/*
 * A recording.  What is read of it is also written as a recording of its own,
 * from which must come the same.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "recording/input.h"
#include "recording/write.h"

static void check_rows(const struct exit_snapshot *snap)
{
	uint64_t total[NR_COUNTS] = {};
	size_t i, c;

	for (i = 0; i < snap->nr_rows; i++) {
		const struct exit_row *row = &snap->rows[i];

		check(!i || exit_row_cmp(row - 1, row) < 0);
		check(*row->name && strlen(row->name) < EXIT_NAME_SIZE);
		for (c = 0; c < NR_COUNTS; c++)
			total[c] += row->counts[c];
	}
	check(!memcmp(total, snap->total, sizeof(total)));
}

static void check_scan(const struct exit_scan *scan)
{
	size_t i, r;

	for (i = 0; i < scan->nr_scopes; i++) {
		const struct exit_scope *scope = &scan->scopes[i];

		check(!i || scope_cmp(scope - 1, scope) < 0);
		check((scope->kind == SCOPE_HOST) == !*scope->vm);
		check(!strchr(scope->name, '\n') &&
		      is_clean_text(scope->name, strlen(scope->name)));
		check_rows(&scope->snap);
		for (r = 1; r < scope->latency.nr_rows; r++)
			check(latency_row_cmp(&scope->latency.rows[r - 1],
					      &scope->latency.rows[r]) < 0);
	}
}

/* Rows and buckets of 0 are as good as none. */
static size_t next_row(const struct exit_snapshot *snap, size_t i)
{
	while (i < snap->nr_rows && !counts_any(snap->rows[i].counts))
		i++;
	return i;
}

static size_t next_bucket(const struct exit_latency *latency, size_t i)
{
	while (i < latency->nr_rows && !latency->rows[i].exits)
		i++;
	return i;
}

static void check_same_rows(const struct exit_snapshot *a,
			    const struct exit_snapshot *b)
{
	size_t i = next_row(a, 0), j = next_row(b, 0);

	while (i < a->nr_rows && j < b->nr_rows) {
		check(!exit_row_cmp(&a->rows[i], &b->rows[j]));
		/* Their names may come later, and then change. */
		check(!memcmp(a->rows[i].counts, b->rows[j].counts,
			      sizeof(a->rows[i].counts)));
		i = next_row(a, i + 1);
		j = next_row(b, j + 1);
	}
	check(i == a->nr_rows && j == b->nr_rows);
}

static void check_same_latency(const struct exit_latency *a,
			       const struct exit_latency *b)
{
	size_t i = next_bucket(a, 0), j = next_bucket(b, 0);

	while (i < a->nr_rows && j < b->nr_rows) {
		check(!latency_row_cmp(&a->rows[i], &b->rows[j]));
		check(a->rows[i].exits == b->rows[j].exits);
		i = next_bucket(a, i + 1);
		j = next_bucket(b, j + 1);
	}
	check(i == a->nr_rows && j == b->nr_rows);
}

static void check_same_scan(const struct exit_scan *a,
			    const struct exit_scan *b)
{
	size_t i;

	check(a->nr_scopes == b->nr_scopes);
	for (i = 0; i < a->nr_scopes; i++) {
		const struct exit_scope *x = &a->scopes[i], *y = &b->scopes[i];

		check(scope_is_same(x, y));
		check(x->snap.guest_cycles == y->snap.guest_cycles);
		/* These two come together. */
		if (x->snap.has_faults)
			check(x->snap.clamped == y->snap.clamped &&
			      x->snap.failed_entries == y->snap.failed_entries);
		check_same_rows(&x->snap, &y->snap);
		check_same_latency(&x->latency, &y->latency);
	}
}

/* What was read, written once more, and read from that. */
struct copy {
	struct recording_writer writer;
	struct recording recording;
	uint64_t samples;
	bool begin;
};

static void read_again(struct copy *copy, char *text, size_t len,
		       enum recording_event expected)
{
	check(text && len && text[len - 1] == '\n');
	check(!memchr(text, '\n', len - 1));
	if (recording_read_line(&copy->recording, text, len - 1) != expected) {
		fprintf(stderr, "not read again: %s", text);
		check(false);
	}
	check(!copy->recording.nr_skipped);
	free(text);
}

/* Is it what 'exitstat record' reads: the host, and no vCPU without its VM? */
static bool can_write(const struct recording *recording)
{
	const struct exit_scan *scan = &recording->now;
	const struct exit_scope *vm = NULL;
	size_t i;

	if (!scan->nr_scopes || scan->scopes[0].kind != SCOPE_HOST)
		return false;
	for (i = 1; i < scan->nr_scopes; i++) {
		const struct exit_scope *scope = &scan->scopes[i];

		if (scope->kind == SCOPE_VM)
			vm = scope;
		else if (!vm || strcmp(vm->vm, scope->vm) ||
			 memcmp(vm->id, scope->id, sizeof(vm->id)))
			return false;
	}
	return true;
}

/* With KVM a vCPU only goes with its VM. */
static bool lost_vcpu(const struct exit_scan *before,
		      const struct exit_scan *now)
{
	const struct exit_scope *vm;
	size_t i;

	for (i = 0; i < before->nr_scopes; i++) {
		struct exit_scope key = before->scopes[i];

		if (key.kind != SCOPE_VCPU || scan_find(now, &key))
			continue;
		key.kind = SCOPE_VM;
		key.vcpu = 0;
		vm = scan_find(now, &key);
		if (vm && scope_is_same(vm, &key))
			return true;
	}
	return false;
}

static void write_again(struct copy *copy, const struct recording *recording)
{
	struct exit_scan scan;
	size_t len;
	char *text;

	if (!can_write(recording)) {
		copy->begin = true;
		return;
	}

	check(scan_copy(&scan, &recording->now));
	if (copy->begin || lost_vcpu(&copy->writer.before, &scan)) {
		copy->writer.interval = 1000000000;
		text = recording_header(&copy->writer, &scan, &len);
		read_again(copy, text, len, RECORDING_SECTION);
		copy->begin = false;
	}

	text = recording_sample(&copy->writer, &scan, 0, &len);
	read_again(copy, text, len, RECORDING_SAMPLE);
	check_same_scan(&copy->recording.now, &scan);
	recording_written(&copy->writer, &scan);
	/* Now and then one cannot be written. */
	if (++copy->samples % 5 == 0)
		recording_lost(&copy->writer);
}

static enum recording_event read_line(struct recording *recording,
				      struct copy *copy, const char *line,
				      size_t len)
{
	const struct recording before = *recording;
	enum recording_event event;

	nr_messages = 0;
	event = recording_read_line(recording, line, len);
	check(nr_messages == (event == RECORDING_FAILED));
	check(recording->nr_skipped - before.nr_skipped <= 1);
	check(recording->nr_lost >= before.nr_lost ||
	      recording->nr_lost < UINT64_MAX / 2);
	check(recording->nr_samples - before.nr_samples ==
	      (event == RECORDING_SAMPLE));
	check(recording->nr_sections - before.nr_sections ==
	      (event == RECORDING_SECTION));
	check_scan(&recording->now);
	if (event != RECORDING_SAMPLE)
		return event;

	check(recording->in_section);
	if (recording->has_difference)
		check_scan(&recording->difference);
	else
		/* A section whose header may be damaged, with a clock anew. */
		copy->begin = true;
	write_again(copy, recording);
	return event;
}

/* As a whole file, which says the same unless it is refused. */
static void read_file_again(const uint8_t *data, size_t size,
			    const struct recording *lines)
{
	struct recording recording;
	enum recording_event event;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/recording", work_dir());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);

	nr_messages = 0;
	check(!recording_open(&recording, path));
	do
		event = recording_next(&recording);
	while (event != RECORDING_EOF && event != RECORDING_FAILED);
	/* What is in there is told by no line. */
	if (!recording.input.decompressor)
		check(nr_messages == (event == RECORDING_FAILED));
	if (event == RECORDING_EOF && !recording.input.decompressor) {
		check(recording.nr_samples == lines->nr_samples);
		check(recording.nr_sections == lines->nr_sections);
		check(recording.nr_skipped == lines->nr_skipped);
		check_same_scan(&recording.now, &lines->now);
	}
	recording_free(&recording);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recording recording = { .path = "-" };
	struct copy copy = {
		.recording = { .path = "-" },
		.begin = true,
	};
	enum recording_event event = RECORDING_NOTHING;
	const uint8_t *p = data, *end = data + size, *next;
	size_t len;
	char *line;

	for (; p < end && event != RECORDING_FAILED; p = next) {
		next = memchr(p, '\n', end - p);
		len = (next ? next : end) - p;
		next = next ? next + 1 : end;
		/* Not even a '\0' is behind it. */
		line = malloc(len ? len : 1);
		check(line);
		memcpy(line, p, len);
		event = read_line(&recording, &copy, line, len);
		free(line);
	}
	read_file_again(data, size, &recording);

	recording_writer_free(&copy.writer);
	recording_free(&copy.recording);
	recording_free(&recording);
	return 0;
}
