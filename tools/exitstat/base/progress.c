// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/progress.h"

#define PATIENCE 1000000000ULL
#define STEP 200000000ULL

void progress_begin(struct progress *progress, const char *what,
		    unsigned int parts)
{
	*progress = (struct progress){
		.what = what,
		.parts = parts,
		.next = isatty(STDERR_FILENO) ?
				clock_now(CLOCK_MONOTONIC) + PATIENCE :
				UINT64_MAX,
	};
}

void progress_update(struct progress *progress, double done)
{
	uint64_t now;

	if (!progress || progress->next == UINT64_MAX)
		return;
	now = clock_now(CLOCK_MONOTONIC);
	if (now < progress->next)
		return;
	progress->next = now + STEP;
	progress->shown = true;
	if (done < 0)
		fprintf(stderr, "\r%s ...\033[K", progress->what);
	else
		fprintf(stderr, "\r%s: %.0f %%\033[K", progress->what,
			100 * (progress->part + done) / progress->parts);
	fflush(stderr);
}

void progress_next(struct progress *progress)
{
	progress->part++;
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
