/* SPDX-License-Identifier: GPL-2.0 */
/* What a user names to be read: a file or a pipe, compressed or not. */
#ifndef BASE_INPUT_H
#define BASE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/decompress.h"

struct input {
	/* as messages name it */
	const char *path;
	/* -1 if it is not open */
	int fd;
	/* what was read of it, as it is in the file */
	unsigned char *raw;
	size_t raw_at, raw_len;
	bool raw_ended;
	/* how much that was, and how much there is or 0; bytes */
	off_t done, size;
	/* NULL if it is not compressed */
	const struct decompressor *decompressor;
	void *state;
	/* in the middle of a compressed stream */
	bool inside;
	/* Nothing more comes, after a message if that is too early. */
	bool ended;
	/* the first bytes, while nobody has taken them */
	char *first;
	size_t first_at, first_len;
};

/*
 * Open what @path leads to, or stdin if it is "-".  A pipe is waited for.
 * STATUS_OK, or after a message STATUS_ERROR.  Close it in any case.
 */
int input_open(struct input *input, const char *path);
/*
 * Up to @size bytes, decompressed: 0 at the end, and -1 and errno on an error.  What
 * cannot be decompressed is the end, after a note.
 */
ssize_t input_read(struct input *input, void *buf, size_t size);
/* The first bytes, which are still to be read, and how many they are: some KiB. */
const char *input_peek(struct input *input, size_t *len);
/* All of it, with a '\0' behind it; NULL and errno on an error, and beyond @max. */
char *input_read_all(struct input *input, size_t max, size_t *len);
/* How much of it was read, 0 to 1, or -1 if that is not known. */
double input_progress(const struct input *input);
void input_close(struct input *input);
/*
 * Make stdin something that can be read twice, with what @path leads to if that is
 * none: then that is to be read as "-".  STATUS_OK, or STATUS_ERROR after a message.
 */
int input_keep(const char **path);

#endif
