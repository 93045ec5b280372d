/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_PARSE_H
#define EXITSTAT_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* Pieces of what the kernel prints.  False if @text is not one as a whole. */

/* decimal digits, up to @max */
bool parse_u64(const char *text, uint64_t max, uint64_t *value);
/* letters and digits, into EXIT_WORD_SIZE bytes */
bool parse_word(const char *text, char *word);
/* an exit reason's name, into EXIT_NAME_SIZE bytes */
bool parse_name(const char *text, char *name);

/* STATUS_OK, or a message that @path is too new for this program. */
int check_version(const char *path, uint64_t version);

#endif
