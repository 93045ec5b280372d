// SPDX-License-Identifier: GPL-2.0
/*
 * Feed many texts to the parser, quicker than with a process for each: stdin
 * has records of a 32-bit length and that many bytes, stdout gets a line for
 * each, "no" or the sums of exits and cycles of what was accepted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "exitstat.h"
#include "snapshot.h"

int fail(int status, const char *fmt, ...)
{
	(void)fmt;
	return status;
}

int main(void)
{
	struct exit_snapshot snap;
	uint32_t len;
	char *text;

	while (fread(&len, sizeof(len), 1, stdin)) {
		/* Exactly as large as the parser may believe. */
		text = malloc(len + 1);
		if (!text || fread(text, 1, len, stdin) != len)
			return 1;
		text[len] = '\0';

		snap = (struct exit_snapshot){};
		if (snapshot_parse(&snap, "-", "host", text, len))
			puts("no");
		else
			printf("%" PRIu64 " %" PRIu64 "\n", snap.exits,
			       snap.handle_cycles);
		snapshot_free(&snap);
		free(text);
	}
	return 0;
}
