/* SPDX-License-Identifier: GPL-2.0 */
/* A file that is replaced, as a whole or not at all. */
#ifndef BASE_REPLACE_H
#define BASE_REPLACE_H

#include <limits.h>
#include <stdio.h>

struct replacement {
	const char *path;
	char temporary[PATH_MAX];
	/* what the file is to have */
	FILE *stream;
};

/* STATUS_OK, or the program's status after a message. */
int replace_open(struct replacement *file, const char *path);
int replace_commit(struct replacement *file);
void replace_abort(struct replacement *file);

#endif
