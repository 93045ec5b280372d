// SPDX-License-Identifier: GPL-2.0
/*
 * Feed many texts to the parser, quicker than with a process for each: stdin
 * has records of a 32-bit length and that many bytes, stdout gets a line for
 * each: "no", or what was accepted, which is guest_cycles and the sum of each
 * counter, with "-" for those that are not there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/message.h"
#include "source/kvmstats.h"

static void print(bool known, uint64_t value, const char *end)
{
	if (known)
		printf("%" PRIu64 "%s", value, end);
	else
		printf("-%s", end);
}

int main(void)
{
	struct exit_snapshot snap;
	char why[256], *text;
	uint32_t len;
	size_t c;

	/* Nobody is to read it. */
	capture_messages(why, sizeof(why));
	while (fread(&len, sizeof(len), 1, stdin)) {
		/* Exactly as large as the parser may believe. */
		text = malloc(len + 1);
		if (!text || fread(text, 1, len, stdin) != len)
			return 1;
		text[len] = '\0';

		snap = (struct exit_snapshot){};
		if (kvmstats_parse(&snap, "-", "host", text, len)) {
			puts("no");
		} else {
			print(snap.has_guest_cycles, snap.guest_cycles, " ");
			for (c = 0; c < NR_COUNTS; c++)
				print(snap.has[c], snap.total[c],
				      c < NR_COUNTS - 1 ? " " : "\n");
		}
		snapshot_free(&snap);
		free(text);
	}
	return 0;
}
