/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers and words that must be valid as a whole; false if they are not. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* decimal digits, up to @max */
bool parse_u64(const char *text, uint64_t max, uint64_t *value);
/* letters and digits, into @size bytes */
bool parse_word(const char *text, char *word, size_t size);
/* no blanks, and not a number: it begins with a letter; into @size bytes */
bool parse_name(const char *text, char *name, size_t size);

#endif
