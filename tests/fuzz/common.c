// SPDX-License-Identifier: GPL-2.0
#include <ftw.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/message.h"
#include "common.h"

unsigned int nr_messages;
bool user_words;

void check_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line,
		condition);
	abort();
}

static void check_message(const char *fmt, va_list ap)
{
	char *text;
	int len = vasprintf(&text, fmt, ap);

	check(len > 0);
	check(user_words || (is_clean_text(text, len) && !strchr(text, '\n')));
	free(text);
	nr_messages++;
}

/* All of base/message.c, in its place. */
int fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_message(fmt, ap);
	va_end(ap);
	return status;
}

int out_of_memory(void)
{
	return fail(STATUS_ERROR, "out of memory");
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_message(fmt, ap);
	va_end(ap);
}

void capture_messages(char *text, size_t size)
{
	(void)text;
	(void)size;
}

char *next_text(const uint8_t **data, size_t *size, size_t *len)
{
	const uint8_t *end;
	size_t skip = 0;
	char *text;

	if (!*data)
		return NULL;

	end = memmem(*data, *size, SEPARATOR, strlen(SEPARATOR));
	/* The line feed before it belongs to the text. */
	*len = end ? end + 1 - *data : (ptrdiff_t)*size;
	skip = end ? *len + strlen(SEPARATOR) - 1 : *size;

	text = malloc(*len + 1);
	check(text);
	if (*len)
		memcpy(text, *data, *len);
	text[*len] = '\0';

	*data = end ? *data + skip : NULL;
	*size -= skip;
	return text;
}

bool is_clean_text(const char *text, size_t len)
{
	mbstate_t state = {};
	size_t i = 0, size;
	wchar_t c;

	while (i < len) {
		size = mbrtowc(&c, text + i, len - i, &state);
		if (!size || size > len - i)
			return false;
		if ((c < ' ' && c != '\n') || (c >= 0x7f && c < 0xa0))
			return false;
		i += size;
	}
	return true;
}

static char dir[256];

static int remove_entry(const char *path, const struct stat *st, int flag,
			struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_work_dir(void)
{
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *work_dir(void)
{
	const char *parent = getenv("TMPDIR");

	if (!*dir) {
		check(snprintf(dir, sizeof(dir), "%s/exitstat-fuzz-XXXXXX",
			       parent ? parent : "/tmp") < (int)sizeof(dir));
		check(mkdtemp(dir));
		/* libFuzzer leaves that to run.py. */
		atexit(remove_work_dir);
	}
	return dir;
}

static char *printed;
static size_t printed_len;

void stdout_begin(void)
{
	stdout = open_memstream(&printed, &printed_len);
	check(stdout);
}

char *stdout_end(size_t *len)
{
	FILE *stream = stdout;

	stdout = NULL;
	check(!fclose(stream));
	*len = printed_len;
	return printed;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* As main() does. */
	check(setlocale(LC_CTYPE, "C.UTF-8"));
	return 0;
}
