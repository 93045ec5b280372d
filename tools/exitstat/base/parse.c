// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>

#include "base/parse.h"

bool parse_u64(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (!*text)
		return false;

	for (; *text; text++) {
		if (*text < '0' || *text > '9' ||
		    __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return false;
	}
	*value = v;
	return v <= max;
}

bool parse_word(const char *text, char *word, size_t size)
{
	size_t i;

	for (i = 0; text[i]; i++) {
		if (i == size - 1 || !isalnum((unsigned char)text[i]))
			return false;
		word[i] = text[i];
	}
	word[i] = '\0';
	return i;
}

bool parse_name(const char *text, char *name, size_t size)
{
	size_t i;

	if (!isalpha((unsigned char)*text))
		return false;

	for (i = 0; text[i]; i++) {
		if (i == size - 1 || text[i] <= ' ' || text[i] > '~')
			return false;
		name[i] = text[i];
	}
	name[i] = '\0';
	return true;
}
