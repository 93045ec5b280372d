/* SPDX-License-Identifier: GPL-2.0 */
/* What was counted in a whole recording. */
#ifndef RECORDING_SUM_H
#define RECORDING_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/input.h"
#include "base/progress.h"
#include "recording/parse.h"
#include "source/select.h"

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
	/* times of sections with another clock were translated to the first */
	bool other_clock;
	uint64_t nr_samples, nr_sections, nr_lost, nr_skipped, nr_off;
	/* another host that is in it, or empty */
	char other_host[VM_NAME_SIZE];
	/* of @scan's interval: how long any of its VMs or vCPUs was there, ns */
	uint64_t vm_interval;
	/* some of the VMs that it has, whether they were selected or not */
	struct exit_scan vms;
	bool any_vcpus;
};

/*
 * Scopes are in the order of recording_compare().  STATUS_OK, or the program's status
 * after a message.  Free it in any case.
 */
int recording_sum_read(struct recording_sum *sum, const char *path,
		       const struct exit_selection *sel,
		       struct progress *progress);
/* The same of what is open already, which is closed. */
int recording_sum_input(struct recording_sum *sum, struct input *input,
			const struct exit_selection *sel,
			struct progress *progress);
/* Is there anything in it?  STATUS_OK, or STATUS_ERROR after a message. */
int recording_sum_check(const struct recording_sum *sum,
			const struct exit_selection *sel);
/* Say on stderr what is missing in it. */
void recording_sum_note(const struct recording_sum *sum);
void recording_sum_free(struct recording_sum *sum);
/*
 * Give VMs with a <pid>-<fd> that was there before a number behind it, so that whoever
 * reads it can tell them apart, and leave those that @sel means, if it
 * is not NULL.  recording_compare()
 * knows them no more.  STATUS_OK,
 * or after a message.
 */
int recording_sum_number(struct recording_sum *sum,
			 const struct exit_selection *sel);
/* The order of a sum's scopes, which tells apart who only have the same name. */
int recording_compare(const void *a, const void *b);

#endif
