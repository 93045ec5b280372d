/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file that is replaced, as a whole or not at all
 *
 * Only one that is empty or of the same kind is: nobody's other file is lost by a
 * slip.  Links are followed, and owner and mode stay.  What is no regular file,
 * stdout ("-") among it, is written as it comes.
 */
#ifndef BASE_REPLACE_H
#define BASE_REPLACE_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

struct replaced_kind {
	/* "a page of 'exitstat report'" */
	const char *what;
	/* How such a file may begin; NULL behind the last one. */
	const char *const *begins;
};

struct replacement {
	const char *path;
	/* The file behind all links, which may not be there; or empty. */
	char target[PATH_MAX];
	/* its name until it is whole, or empty if it has none */
	char temporary[PATH_MAX];
	/* Signals that would leave that behind wait; those that waited before. */
	bool blocked;
	sigset_t before;
	/* what the file is to have */
	FILE *stream;
};

/* STATUS_OK, or the program's status after a message. */
int replace_open(struct replacement *file, const char *path,
		 const struct replaced_kind *kind);
int replace_commit(struct replacement *file);
void replace_abort(struct replacement *file);

#endif
