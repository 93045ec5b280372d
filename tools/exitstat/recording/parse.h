/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pieces of a recording's lines
 *
 * They may have been damaged, or made to do damage.  What is there must be
 * valid; what is not known is ignored, as a later version may have it.
 */
#ifndef RECORDING_PARSE_H
#define RECORDING_PARSE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/scan.h"
#include "recording/format.h"

/* What a header says. */
struct recording_header {
	char isa[EXIT_WORD_SIZE];
	struct exit_clock clock;
	/* CLOCK_REALTIME at its beginning, ns, or 0 */
	uint64_t realtime;
	/* ns, or 0 */
	uint64_t interval;
	char source[SOURCE_NAME_SIZE];
	char tool[VM_NAME_SIZE], host[VM_NAME_SIZE], kernel[VM_NAME_SIZE];
	/* the count in each column of a row, NR_COUNTS if that is unknown */
	enum exit_counter columns[32];
	size_t nr_columns;
	struct recording_facts facts;
};

struct recording_label {
	uint32_t reason;
	char name[EXIT_NAME_SIZE];
};

/* What samples need to be understood. */
struct recording_section {
	struct recording_header header;
	/* the reasons that were named so far, by number */
	struct recording_label *labels;
	size_t nr_labels;
};

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

/* False if it is not valid. */
bool recording_parse_header(struct json_object *object,
			    struct recording_header *header);
/* The same; also takes up the names in it. */
bool recording_parse_sample(struct json_object *object,
			    struct recording_section *section,
			    struct recording_patch *patch);
void recording_patch_free(struct recording_patch *patch);

#endif
