// SPDX-License-Identifier: GPL-2.0
/* 'exitstat diff': options in the first line, and behind it the two files. */
#include <stdlib.h>
#include <string.h>

#include "cmd/commands.h"
#include "command.h"
#include "common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *begin = size ? memchr(data, '\n', size) : NULL;
	const char *files[2];
	char *line, *text;
	size_t len, i;

	if (!begin)
		return 0;
	line = strndup((const char *)data, begin - data);
	check(line);
	begin++;
	size -= begin - data;
	for (i = 0; i < 2; i++) {
		/* A second one that is not there is empty. */
		len = 0;
		text = next_text(&begin, &size, &len);
		files[i] = put_file(i ? "b" : "a", text ? text : "", len);
		free(text);
	}
	run_command(cmd_diff, line, files, 2);
	free(line);
	return 0;
}
