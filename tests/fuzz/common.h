/* SPDX-License-Identifier: GPL-2.0 */
/* What the targets share. */
#ifndef FUZZ_COMMON_H
#define FUZZ_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* As assert(), and never left out. */
#define check(condition)                                              \
	do {                                                          \
		if (!(condition))                                     \
			check_failed(__FILE__, __LINE__, #condition); \
	} while (0)

void check_failed(const char *file, int line, const char *condition)
	__attribute__((noreturn));

/*
 * How many messages there were for the user.  Each must be a line of text, but
 * for what the user's own words put there.
 */
extern unsigned int nr_messages;
extern bool user_words;

/*
 * The input is texts with this line between them.  The first of @data, in a
 * buffer of its own, exactly as large as its user may believe, with the '\0'
 * that the program's own reader puts behind a file; or NULL if none is left.
 */
#define SEPARATOR "\n%%\n"

char *next_text(const uint8_t **data, size_t *size, size_t *len);

/* Is it UTF-8 without control characters but line feeds? */
bool is_clean_text(const char *text, size_t len);

/* A directory of the target's own, in $TMPDIR. */
const char *work_dir(void);

/* Take what is printed to stdout between the two, for the caller to free. */
void stdout_begin(void);
char *stdout_end(size_t *len);

#endif
