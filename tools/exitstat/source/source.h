/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the counters come from
 *
 * A source fills scans of the model.  Nobody but list.c knows which there are;
 * who needs to know what one can do asks for its abilities.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source/select.h"

/* Leaves room in PATH_MAX for every file below. */
#define MOUNT_MAX (PATH_MAX - 128)

/* How much is counted by a source that counts when it is asked to: it is paid for. */
enum count_level {
	/* LEVEL_TIMES, or what is counted already */
	LEVEL_ANY,
	LEVEL_COUNTS,
	LEVEL_TIMES,
	LEVEL_HISTOGRAMS,
	NR_LEVELS,
};

/* as --level takes them, "" of LEVEL_ANY */
extern const char *const level_names[NR_LEVELS];

struct source_setup {
	/* Where the kernel's file systems are; no path is longer than MOUNT_MAX. */
	const char *debugfs;
	const char *sysfs;
	const char *procfs;
	enum count_level level;
};

/* What a source can do. */
enum source_ability {
	/* the host as a whole, which all can */
	SOURCE_HOST = 1 << 0,
	SOURCE_VMS = 1 << 1,
	SOURCE_VCPUS = 1 << 2,
	/* histograms */
	SOURCE_LATENCY = 1 << 3,
	/* It counts since KVM was loaded, not since it was asked to. */
	SOURCE_SINCE_LOAD = 1 << 4,
	/* Its host is the VM that we run in, or if that may know it, its host. */
	SOURCE_FROM_INSIDE = 1 << 5,
	/* It has counted before it was opened, since KVM was loaded or later. */
	SOURCE_COUNTED = 1 << 6,
};

struct source {
	const struct source_ops *ops;
	struct source_setup setup;
	/* what it can do here and now */
	unsigned int abilities;
	/* The one before it in the list, and why that cannot be read; or NULL. */
	const struct source_ops *better;
	char why[PATH_MAX + 64];
	/* The user was told of that. */
	bool told;
	/* since when it counts, CLOCK_REALTIME, without SOURCE_SINCE_LOAD */
	uint64_t since;
	/* its own */
	void *data;
};

struct source_ops {
	/* as --source takes it and a recording keeps it, letters and digits */
	const char *name;
	/* what it can do at best */
	unsigned int abilities;
	/*
	 * What it can do here and now; or 0, and @why not in a few words.  May
	 * leave errors to read().
	 */
	unsigned int (*probe)(const struct source_setup *setup, char *why,
			      size_t size);
	/* Each may be NULL.  STATUS_OK, or a status after a message. */
	int (*open)(struct source *source);
	void (*close)(struct source *source);
	/*
	 * Add what @sel selects of what it can do to @scan, in any order.  VMs
	 * that come or go meanwhile are in it or left out.  STATUS_OK, or a
	 * status after a message.
	 */
	int (*read)(struct source *source, const struct exit_selection *sel,
		    struct exit_scan *scan);
	/*
	 * Of one that counts while it is open, or NULL: count also when this
	 * program has ended, and end that.  STATUS_OK, or a status after a
	 * message.
	 */
	int (*attach)(const struct source_setup *setup);
	int (*detach)(void);
};

/* What the source of @sel must be able to do. */
unsigned int source_wanted(const struct exit_selection *sel);
/*
 * Open the source with this name, or if that is NULL the first one, that can do
 * all of @want.  If none can, the first one will say why when it is read.
 * STATUS_OK, or the program's status after a message.
 */
int source_open(struct source *source, const struct source_setup *setup,
		const char *name, unsigned int want);
/* Fill an all-0 scan.  STATUS_OK, or the program's status after a message. */
int source_read(struct source *source, const struct exit_selection *sel,
		struct exit_scan *scan);
/* Also of one that is all 0, or that could not be opened. */
void source_close(struct source *source);

/* Let the source that can do so count from now on, or no more. */
int source_attach(const struct source_setup *setup);
int source_detach(void);

/* Those that can do all of @want: "debugfs, sysfs". */
void source_names(unsigned int want, char *names, size_t size);

#endif
