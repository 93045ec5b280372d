/* SPDX-License-Identifier: GPL-2.0 */
/* Compressed data as logrotate and people make it: .gz, .xz, .zst. */
#ifndef BASE_DECOMPRESS_H
#define BASE_DECOMPRESS_H

#include <stdbool.h>
#include <stddef.h>

/* So many bytes tell what it is. */
#define DECOMPRESS_MAGIC 6

/* What is left of input, and of room for output. */
struct compressed {
	const unsigned char *in;
	size_t in_len;
	unsigned char *out;
	size_t out_len;
	/* There is no more input behind it. */
	bool last;
};

enum decompress_result {
	/* It wants more input, or room. */
	DECOMPRESS_MORE,
	/* A stream has ended; another may follow. */
	DECOMPRESS_END,
	DECOMPRESS_DAMAGED,
	DECOMPRESS_NO_MEMORY,
};

struct decompressor {
	/* what messages call it */
	const char *name;
	unsigned char magic[DECOMPRESS_MAGIC];
	size_t magic_len;
	/* how to get at it without this; or else NULL */
	const char *program;
	/* NULL if memory runs out */
	void *(*open)(void);
	enum decompress_result (*run)(void *state, struct compressed *data);
	void (*close)(void *state);
};

/* The last one has no name.  Without @open this program cannot read it. */
extern const struct decompressor decompressors[];

#endif
