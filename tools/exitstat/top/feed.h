/* SPDX-License-Identifier: GPL-2.0 */
/* What a live view shows: scans, and what was counted from one to the next. */
#ifndef TOP_FEED_H
#define TOP_FEED_H

#include "source/source.h"

#define MESSAGE_SIZE 512

/* What is read beyond the host, as little as there is to show. */
struct feed_details {
	bool vms;
	/* with its vCPUs: <pid>-<fd>, or empty for none */
	char vm[VM_ID_SIZE];
	/* histograms of the host, of that VM, of its vCPUs */
	bool host_latency, vm_latency, vcpu_latency;
};

struct top_feed {
	struct source *source;
	/* what the user named, and what is read of it */
	const struct exit_selection *named;
	struct exit_selection sel;
	struct feed_details details;
	/* The last scan was without them: it is no beginning of a difference. */
	bool begin;
	/* the last one */
	struct exit_scan now;
	/* what was counted in the last interval, or since the baseline */
	struct exit_scan shown;
	/* all there is at some moment, if the user chose one */
	struct exit_scan baseline;
	bool has_baseline;
	/* why VMs cannot be read here, or empty */
	char no_vms[MESSAGE_SIZE];
	/* why the last reading failed, or empty */
	char error[MESSAGE_SIZE];
};

/* Read for the first time.  The program's status, after a message on stderr. */
int feed_start(struct top_feed *feed, struct source *source,
	       const struct exit_selection *named);
void feed_free(struct top_feed *feed);

/* Read again, and with @show change what is shown.  False on errors. */
bool feed_update(struct top_feed *feed, bool show);
/*
 * From now on read with these details.  Differences need them twice: True if
 * they are there, false if that takes another feed_update().
 */
bool feed_set_details(struct top_feed *feed, const struct feed_details *details,
		      bool show);
/* Show what is counted from this moment on, or in intervals again. */
bool feed_set_baseline(struct top_feed *feed);
void feed_drop_baseline(struct top_feed *feed);

/* The same VM or vCPU in a scan, or NULL. */
struct exit_scope *feed_find(const struct exit_scan *scan,
			     const struct exit_scope *key);
/* The host, or in a guest what it knows; NULL if that is not there. */
struct exit_scope *feed_first(const struct exit_scan *scan);

#endif
