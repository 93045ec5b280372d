/* SPDX-License-Identifier: GPL-2.0 */
/* The lines of a recording, as they are written. */
#ifndef RECORDING_WRITE_H
#define RECORDING_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/scan.h"
#include "recording/format.h"

/* What has been written of a section. */
struct recording_writer {
	/* CLOCK_MONOTONIC at its beginning, ns */
	uint64_t start;
	uint64_t interval;
	/* of the host, or NULL */
	const struct recording_facts *facts;
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

#endif
