/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recordings: a line of JSON for each moment at which the counters were read
 *
 * See exitstat-recording(5).  A file has a section for each run of 'exitstat
 * record' that appended to it: a header, samples, and if it ended in order an
 * end.
 */
#ifndef EXITSTAT_RECORDING_H
#define EXITSTAT_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "model/scan.h"

#define RECORDING_SCHEMA "exitstat.recording"
#define RECORDING_VERSION 1

/* Nothing longer is written, and readers skip what is. */
#define RECORDING_MAX_LINE (16 << 20)

/* What has been written of a section. */
struct recording_writer {
	/* CLOCK_MONOTONIC at its beginning, ns */
	uint64_t start;
	uint64_t interval;
	/* debugfs or sysfs */
	const char *source;
	/* the counts that the header announced */
	bool has[NR_COUNTS];
	/* the sample that was written last, unless the next one is full */
	struct exit_scan before;
	bool full;
	uint64_t nr_written;
	/* reasons that were named */
	uint32_t *named;
	size_t nr_named;
};

/*
 * The lines, with '\n' behind them, for one write().  NULL if memory runs out.
 * The caller frees them.
 */
/* Begin a section with @scan, which is to be its first sample. */
char *recording_header(struct recording_writer *writer,
		       const struct exit_scan *scan, size_t *len);
/* @lost samples could not be read or written before this one. */
char *recording_sample(struct recording_writer *writer,
		       const struct exit_scan *scan, uint64_t lost,
		       size_t *len);
char *recording_end(const struct recording_writer *writer, const char *why,
		    uint64_t samples, uint64_t lost, size_t *len);
/* The sample was written.  Takes what is in @scan. */
void recording_written(struct recording_writer *writer, struct exit_scan *scan);
/* The sample was lost, so the next one has to be full. */
void recording_lost(struct recording_writer *writer);
void recording_writer_free(struct recording_writer *writer);

/* Where a recording is written to. */
struct recording_file {
	const char *path;
	int fd;
	/* a file, of which the last line may have been torn by a full disk */
	bool regular;
	bool torn;
	/* a pipe, which may have no room: then a signal in @signals ends that */
	bool pipe;
	int signals;
	/* such a signal came: do not wait for room any more */
	bool ending;
};

/*
 * Open @path, or stdout if it is "-".  What is there must be a recording, and
 * stays.  STATUS_OK, or the program's status after a message.
 */
int recording_file_open(struct recording_file *file, const char *path,
			int signals);
/* Was what @file's path leads to renamed or removed? */
bool recording_file_moved(const struct recording_file *file);
/* Write a line.  False and errno if not all of it could be written. */
bool recording_file_write(struct recording_file *file, const char *text,
			  size_t len);
/* False and errno if what was written may not be on the disk. */
bool recording_file_close(struct recording_file *file);

/* What a header says. */
struct recording_header {
	char isa[EXIT_WORD_SIZE];
	uint32_t tsc_khz;
	/* CLOCK_REALTIME at its beginning, ns, or 0 */
	uint64_t realtime;
	/* ns, or 0 */
	uint64_t interval;
	char tool[VM_NAME_SIZE], host[VM_NAME_SIZE], kernel[VM_NAME_SIZE];
	/* the count in each column of a row, NR_COUNTS if that is unknown */
	enum exit_counter columns[32];
	size_t nr_columns;
};

struct reason_label {
	uint32_t reason;
	char name[EXIT_NAME_SIZE];
};

enum recording_event {
	/* nothing that matters, or a line that was skipped */
	RECORDING_NOTHING,
	/* a section begins */
	RECORDING_SECTION,
	RECORDING_SAMPLE,
	/* a section ended in order */
	RECORDING_END,
	/* there is no more */
	RECORDING_EOF,
	/* reading is over, after a message */
	RECORDING_FAILED,
};

/*
 * What has been read so far.  All 0 at first, but for @path, which messages
 * name.
 */
struct recording {
	const char *path;
	/* of the section, if there is one */
	bool in_section;
	struct recording_header header;
	struct reason_label *labels;
	size_t nr_labels;
	/*
	 * All counters at the last sample.  Of what the file leaves out nothing
	 * is known before the first full sample.
	 */
	bool has_sample;
	struct exit_scan now;
	/* ns after the section began, and after the first one did */
	uint64_t t, time;
	/* when the section began, and by the clock when the first one did */
	uint64_t base, first_realtime;
	/*
	 * What was counted since the sample before, in scopes that changed.
	 * Never across a header.  What is new counts whole.
	 */
	bool has_difference;
	struct exit_scan difference;
	/* The last sample has other scopes than the one before. */
	bool scopes_changed;
	/* counting was switched off */
	bool off;
	/* how many so far; lost are those that record knew of */
	uint64_t nr_sections, nr_samples, nr_lost, nr_skipped, nr_off;
	uint64_t lost_in_section;

	/* the file that recording_next() reads */
	int fd;
	char *line;
	size_t line_size;
	char *chunk;
	size_t chunk_at, chunk_len;
};

/*
 * Read one line, of @len bytes without its '\n', which may be anything: what is
 * no line of a recording is counted in @nr_skipped and changes nothing.
 * Needs no file.
 */
enum recording_event recording_read_line(struct recording *recording,
					 const char *line, size_t len);
/* Open a file, or stdin if @path is "-".  STATUS_OK or after a message. */
int recording_open(struct recording *recording, const char *path);
/* Read the next line of the file that was opened. */
enum recording_event recording_next(struct recording *recording);
/* Frees everything, and closes the file if there is one. */
void recording_free(struct recording *recording);

/* A sample's line as it is written, with what it changes. */
struct recording_patch {
	uint64_t t;
	uint64_t lost;
	bool full;
	bool off;
	/* only the rows and scopes that are there */
	struct exit_scan scan;
	/* VMs that ended */
	char (*ended)[VM_ID_SIZE];
	size_t nr_ended;
};

struct json_object;

/* The pieces of a line.  False if they are not valid. */
bool recording_parse_header(struct json_object *object,
			    struct recording_header *header);
/* Also takes up the names in it. */
bool recording_parse_sample(struct json_object *object,
			    struct recording *recording,
			    struct recording_patch *patch);
void recording_patch_free(struct recording_patch *patch);
/* A whole recording, added up. */
struct recording_sum {
	const char *path;
	/* the first one */
	struct recording_header header;
	/*
	 * What was counted of each scope, over all the time that was recorded.
	 * A <pid>-<fd> that came again is another scope.
	 */
	struct exit_scan scan;
	uint64_t nr_intervals;
	/* from the beginning to the end, with gaps; ns */
	uint64_t span;
	/* histograms of VMs and of the host were recorded */
	bool vm_latency, host_latency;
	uint64_t nr_samples, nr_sections, nr_lost, nr_skipped, nr_off;
	/* some of the VMs that it has, whether they were selected or not */
	char vms[16][VM_ID_SIZE];
	size_t nr_vms;
	bool any_vcpus;
};

/* STATUS_OK, or the program's status after a message.  Free it in any case. */
int recording_sum_read(struct recording_sum *sum, const char *path,
		       const struct exit_selection *sel);
/* Is there anything in it?  STATUS_OK, or STATUS_ERROR after a message. */
int recording_sum_check(const struct recording_sum *sum,
			const struct exit_selection *sel);
/* Say on stderr what is missing in it. */
void recording_sum_note(const struct recording_sum *sum);
void recording_sum_free(struct recording_sum *sum);
/* The order of a sum's scopes, which tells apart who only have the same name. */
int recording_compare(const void *a, const void *b);
bool recording_selects(const struct exit_selection *sel,
		       const struct exit_scope *scope);

#endif
