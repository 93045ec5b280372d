// SPDX-License-Identifier: GPL-2.0
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/array.h"
#include "base/text.h"

/*
 * Is it a character, and one that a terminal shows where it stands?  glibc takes
 * sequences of UTF-8 that are none, as RFC 3629 has it; and marks of direction and
 * of no width make a line look like another one.
 */
static bool is_shown(wchar_t c)
{
	static const struct {
		wchar_t first, last;
	} hidden[] = {
		{ 0, 0x1f },	    { 0x7f, 0x9f },	{ 0xad, 0xad },
		{ 0x61c, 0x61c },   { 0x180e, 0x180e }, { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xd800, 0xdfff },
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hidden); i++) {
		if (c >= hidden[i].first && c <= hidden[i].last)
			return false;
	}
	return c <= 0x10ffff;
}

/*
 * The next character of @text: its bytes, or 0 at the end.  What a terminal
 * cannot show is one '?'.
 */
static size_t next_char(const char *text, mbstate_t *state, int *width,
			bool *shown)
{
	wchar_t c;
	size_t len = mbrtowc(&c, text, strnlen(text, MB_LEN_MAX), state);

	*shown = false;
	*width = 1;
	if (len == (size_t)-1 || len == (size_t)-2) {
		memset(state, 0, sizeof(*state));
		return 1;
	}
	if (len && is_shown(c) && wcwidth(c) >= 0) {
		*shown = true;
		*width = wcwidth(c);
	}
	return len;
}

int text_width(const char *text)
{
	mbstate_t state = {};
	int width, all = 0;
	size_t len;
	bool shown;

	while (*text && (len = next_char(text, &state, &width, &shown))) {
		text += len;
		all += width;
	}
	return all;
}

size_t text_bytes(const char *text, int width)
{
	const char *begin = text;
	mbstate_t state = {};
	size_t len;
	bool shown;
	int w;

	while (*text && (len = next_char(text, &state, &w, &shown))) {
		width -= w;
		if (width < 0)
			break;
		text += len;
	}
	return text - begin;
}

size_t text_wrap(const char *text, int width)
{
	const size_t fits = text_bytes(text, width);
	size_t len = fits;

	if (!text[fits])
		return fits;
	while (len && text[len] != ' ')
		len--;
	return len ? len : fits;
}

int text_fit(char *copy, size_t size, const char *text, int width)
{
	const char *mark = MB_CUR_MAX > 1 ? "\u2026" : "~";
	const bool cut = text_width(text) > width;
	mbstate_t state = {};
	int columns = 0, w;
	size_t len, out = 0;
	bool shown;

	if (width <= 0) {
		*copy = '\0';
		return 0;
	}
	while (*text && (len = next_char(text, &state, &w, &shown))) {
		if (columns + w > width - cut || out + len + 4 > size)
			break;
		memcpy(copy + out, shown ? text : "?", shown ? len : 1);
		out += shown ? len : 1;
		columns += w;
		text += len;
	}
	copy[out] = '\0';
	if (cut) {
		strcpy(copy + out, mark);
		columns++;
	}
	return columns;
}

void text_printable(char *copy, size_t room, const char *text, size_t len)
{
	size_t in = 0, out = 0, size, i;
	mbstate_t state = {};
	wchar_t c;

	while (in < len) {
		size = mbrtowc(&c, text + in, len - in, &state);
		if (!size || size > len - in || !is_shown(c)) {
			memset(&state, 0, sizeof(state));
			size = size && size <= len - in ? size : 1;
			if (out + 1 >= room)
				break;
			copy[out++] = '?';
		} else {
			if (out + size >= room)
				break;
			for (i = 0; i < size; i++)
				copy[out++] = text[in + i];
		}
		in += size;
	}
	copy[out] = '\0';
}

void text_append(char *list, size_t size, const char *separator,
		 const char *word)
{
	const size_t len = strlen(list);

	snprintf(list + len, size - len, "%s%s", len ? separator : "", word);
}
