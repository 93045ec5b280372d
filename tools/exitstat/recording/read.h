/* SPDX-License-Identifier: GPL-2.0 */
/* What a recording says, line by line. */
#ifndef RECORDING_READ_H
#define RECORDING_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/input.h"
#include "recording/parse.h"

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
	struct recording_section section;
	/*
	 * All counters at the last sample.  Of what the file leaves out nothing
	 * is known before the first full sample.
	 */
	bool has_sample;
	struct exit_scan now;
	/* of the first section: all differences are told by it */
	struct exit_clock clock;
	/* another section has another one, and no histograms then */
	bool other_clock;
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

	/* the file that recording_next() reads, if @path is set */
	struct input input;
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
/* Frees everything, and closes the file if there is one. */
void recording_free(struct recording *recording);

#endif
