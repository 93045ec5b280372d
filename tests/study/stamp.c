// SPDX-License-Identifier: GPL-2.0
/*
 * stamp: copy lines from stdin to stdout, each with the time of its first
 * character.  Carriage returns are left out: GRUB ends a line with "\n\r", so
 * they come first in a line, and long before the rest of it.
 *
 * The time is the wall clock's, as in the head of exitstat's recordings.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	char text[4096];
	int begins = 1;

	for (;;) {
		ssize_t i, n = read(STDIN_FILENO, text, sizeof(text));
		struct timespec now;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fprintf(stderr, "stamp: cannot read: %s\n",
				strerror(errno));
			return 1;
		}
		if (!n)
			break;

		clock_gettime(CLOCK_REALTIME, &now);
		for (i = 0; i < n; i++) {
			if (text[i] == '\r')
				continue;
			if (begins)
				printf("%lld.%06ld ", (long long)now.tv_sec,
				       now.tv_nsec / 1000);
			putchar(text[i]);
			begins = text[i] == '\n';
		}
		if (fflush(stdout)) {
			fprintf(stderr, "stamp: cannot write: %s\n",
				strerror(errno));
			return 1;
		}
	}
	return 0;
}
